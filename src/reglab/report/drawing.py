"""Charts drawn, each as a PNG file and as a part of the page; those of many tasks in as many processes as cores."""

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reglab.garbage import no_garbage
from reglab.report import charts, svg, tuning_charts
from reglab.report.charts import Chart
from reglab.report.findings import TaskFindings
from reglab.report.learning import Learning
from reglab.report.question import Question
from reglab.stopping import raise_if_stopped

IN_PROCESS = 3  # tasks: to start another process takes as long as to draw one of them


@dataclass(frozen=True)
class Drawn:
    """One chart: its file's stem, its heading and caption, an ``<svg>`` element, and the name of its PNG file."""

    name: str
    title: str
    caption: str
    svg: str
    file: str


@dataclass(frozen=True)
class Sheet:
    """All that the charts of one task are made of; it travels to the process that draws them.

    Attributes:
        folder: where PNG files are written.
        files: prefix of their names.
        ids: prefix of the ids in SVG, unique on the page.
    """

    found: TaskFindings
    question: Question
    colours: dict[str, str]
    learning: Sequence[Learning]
    folder: Path
    files: str
    ids: str


def drawn(some: Iterable[Chart], folder: Path, files: str, ids: str) -> list[Drawn]:
    """Writes the PNG files and makes the parts of the page."""
    made = []
    for chart in some:
        raise_if_stopped()
        file = f"{files}{chart.name}.png"
        svg.save_png(chart.figure, folder / file)
        ids_of = f"{ids}-{chart.name}"
        label = f"{chart.title}. {chart.caption}"
        element = svg.inline(chart.figure, ids_of, label, chart.titles, chart.spots)
        made.append(Drawn(chart.name, chart.title, chart.caption, element, file))
    return made


def of_tasks(sheets: Iterable[Sheet], count: int) -> Iterator[list[Drawn]]:
    """The charts of each task, in order.

    Args:
        sheets: may be made one by one: the first are drawn while the next are read.
        count: how many there are.
    """
    processes = min(count, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    if count <= IN_PROCESS or processes < 2:
        yield from map(_of_task, sheets)
        return
    # Not forked: a copy of a process whose threads hold locks may wait for ever.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_of_task, sheets)


def _of_task(sheet: Sheet) -> list[Drawn]:
    with no_garbage():
        some = charts.of_task(sheet.found, sheet.question, sheet.colours, sheet.learning)
        some = tuning_charts.with_tuning(some, sheet.found.tuning, sheet.question, sheet.colours)
        return drawn(some, sheet.folder, sheet.files, sheet.ids)
