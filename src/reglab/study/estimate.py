"""What a study would do, as tables: cells, runs, what is done already, and how long the rest may take."""

from collections.abc import Iterator
from statistics import fmean
from typing import TYPE_CHECKING

from reglab.study.progress import PHASES, CellProgress, Progress

if TYPE_CHECKING:
    from rich.table import Table

_START_S = 10.0  # imports, once a process


def tables(progress: Progress) -> Iterator["Table"]:
    """One for each task, with a row for each strategy."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    for task in dict.fromkeys(cell.cell.about for cell in progress.cells):
        shown = Table(title=task, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for name in ("strategy", "searched"):
            shown.add_column(name, overflow="fold")
        for name in ("tuning", "confirmation", "done"):
            shown.add_column(name, justify="right")
        for cell in progress.cells:
            if cell.cell.about == task:
                expected, done = cell.expected(progress.study), _done(cell, progress)
                searched = ", ".join(one.key.removeprefix("regularizer.") for one in cell.cell.space) or "nothing"
                shown.add_row(cell.cell.strategy, searched, *(str(expected[p]) for p in PHASES), str(done))
        yield shown


def left(progress: Progress) -> int:
    """Number of runs still to be done, including those that are not known yet."""
    return sum(sum(cell.expected(progress.study).values()) - _done(cell, progress) for cell in progress.cells)


def seconds(progress: Progress, workers: int) -> float | None:
    """Estimate the seconds of the remaining runs from tracked ones: of the same cell, else data set and model.

    Args:
        progress: with what is tracked.
        workers: processes at once.

    Returns:
        None where nothing of the kind was ever run.
    """
    alike: dict[str, list[float]] = {}
    for result in progress.results.values():
        alike.setdefault(result.kind, []).append(result.wall)
    total = 0.0
    for cell in progress.cells:
        missing = sum(cell.expected(progress.study).values()) - _done(cell, progress)
        own = [progress.results[job.config_hash].wall for job in cell.jobs if job.config_hash in progress.results]
        told = own or alike.get(cell.cell.kind)
        if missing and not told:
            return None
        total += missing * fmean(told) if told else 0.0
    return total / workers + (_START_S if total else 0.0)


def _done(cell: CellProgress, progress: Progress) -> int:
    return sum(job.config_hash in progress.results for job in cell.jobs)
