"""All kinds of charts, drawn as PNG files and SVG elements; those of many tasks in parallel processes."""

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reglab.garbage import paused_gc
from reglab.report.charts import (  # noqa: F401  # the modules of all charts: each registers its class
    factor_plot,
    forest,
    learning_curves,
    rank_diagram,
    response,
    strips,
    svg,
    tuning_curve,
)
from reglab.report.charts.chart import OVERALL_CHART_KINDS, TASK_CHART_KINDS, Chart, OverallChartData, TaskChartData
from reglab.stopping import raise_if_stopped

TASK_CHARTS = sorted(TASK_CHART_KINDS, key=lambda kind: kind.order)
OVERALL_CHARTS = sorted(OVERALL_CHART_KINDS, key=lambda kind: kind.order)
MAX_IN_PROCESS = 3  # tasks: starting another process takes as long as drawing one of them


@dataclass(frozen=True)
class RenderedChart:
    """A chart as an ``<svg>`` element and a PNG file.

    Attributes:
        name, title, caption: those of the chart.
        svg: the element.
        file: name of the PNG file.
    """

    name: str
    title: str
    caption: str
    svg: str
    file: str


@dataclass(frozen=True)
class TaskDrawing:
    """The charts of one task to draw.

    Attributes:
        data: the data to draw.
        folder: folder for the PNG files.
        file_prefix: prefix of the names of these files.
        id_prefix: prefix of the ids in SVG, unique on the page.
    """

    data: TaskChartData
    folder: Path
    file_prefix: str
    id_prefix: str


def draw_overall(data: OverallChartData, folder: Path) -> list[RenderedChart]:
    """Draw the charts over several tasks."""
    charts = (chart for kind in OVERALL_CHARTS if kind.applies(data) for chart in kind.draw(data))
    return _render(charts, folder, "", "o")


def draw_tasks(drawings: Iterable[TaskDrawing], count: int) -> Iterator[list[RenderedChart]]:
    """Draw the charts of each task, in order.

    Args:
        drawings: may be lazy: the first are drawn while the next are read.
        count: number of tasks.
    """
    processes = min(count, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    if count <= MAX_IN_PROCESS or processes < 2:
        yield from map(_draw_task, drawings)
        return
    # Spawned, not forked: a forked process can deadlock on locks that other threads held.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_draw_task, drawings)


def _draw_task(drawing: TaskDrawing) -> list[RenderedChart]:
    data = drawing.data
    with paused_gc():
        charts = (chart for kind in TASK_CHARTS if kind.applies(data) for chart in kind.draw(data))
        return _render(charts, drawing.folder, drawing.file_prefix, drawing.id_prefix)


def _render(charts: Iterable[Chart], folder: Path, file_prefix: str, id_prefix: str) -> list[RenderedChart]:
    """Write each chart to a PNG file, and return the charts with their SVG elements."""
    rendered = []
    for chart in charts:
        raise_if_stopped()
        file = f"{file_prefix}{chart.name}.png"
        svg.save_png(chart.figure, folder / file)
        element = svg.inline_svg(
            chart.figure,
            f"{id_prefix}-{chart.name}",
            f"{chart.title}. {chart.caption}",
            chart.dot_texts,
            chart.hover_areas,
        )
        rendered.append(RenderedChart(chart.name, chart.title, chart.caption, element, file))
    return rendered
