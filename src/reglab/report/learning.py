"""Learning curves of the rows that stand for their strategies, as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reglab.report.arms import Row
from reglab.report.findings import TaskFindings
from reglab.report.question import Question
from reglab.report.records import Histories, History

PANELS = 12


@dataclass(frozen=True)
class Curve:
    """Mean and spread (standard deviation) over seeds by step, where at least half of the seeds have a value."""

    steps: np.ndarray
    mean: np.ndarray
    std: np.ndarray


@dataclass(frozen=True)
class Panel:
    """One strategy's curves; either may be None where it was not tracked."""

    name: str
    colour: str
    train: Curve | None
    val: Curve | None


def curve(histories: Sequence[History]) -> Curve | None:
    """The curve of several seeds; None where nothing was tracked."""
    told = [dict(history) for history in histories if history]
    steps = sorted({step for history in told for step in history})
    values = np.array([[history.get(step, np.nan) for step in steps] for history in told], dtype=float)
    if not steps:
        return None
    values[~(np.abs(values) < 1e300)] = np.nan  # MLflow stores infinity as 1.8e308
    count = (~np.isnan(values)).sum(axis=0)
    keep = count * 2 >= max(1, len(told))
    if not keep.any():
        return None
    values, count = values[:, keep], count[keep]
    mean = np.nansum(values, axis=0) / count
    variance = np.nansum((values - mean) ** 2, axis=0) / np.maximum(count - 1, 1)
    return Curve(np.array(steps)[keep], mean, np.sqrt(variance))


@dataclass(frozen=True)
class Learning:
    """The curves of one figure, ``train/<name>`` and ``val/<name>``: those of the best rows out of `of`, and the
    baseline's validation, which stands behind the others."""

    name: str
    panels: list[Panel]
    baseline: Curve | None
    baseline_label: str
    of: int


def learning(found: TaskFindings, question: Question, colours: dict[str, str], histories: Histories) -> list[Learning]:
    """Of the metric and of the loss, where runs tracked them at more than one step."""
    rows = {row.label: row for row in found.grid.rows}
    standing = [rows[line.strategy] for line in found.lines if line.n and (line.chosen or line.baseline)]
    shown = standing[:PANELS]
    if found.baseline is not None and found.baseline not in shown:
        shown.append(found.baseline)
    names = {question.metric.rsplit("/", 1)[-1], "loss"}
    tracked = {name for row in shown for record in row.runs.values() for name in record.metrics}
    if "val/accuracy" in tracked and not any(f"val/{n}" in tracked for n in names - {"loss"}):
        names.add("accuracy")
    base = found.baseline.label if found.baseline is not None else ""
    asked = [m for name in sorted(names) for m in (f"train/{name}", f"val/{name}") if m in tracked]
    read = _read(shown, asked, histories)
    told = []
    for name in sorted(names):
        train, val = read.get(f"train/{name}", {}), read.get(f"val/{name}", {})
        panels = [Panel(r.label, colours[r.strategy], train.get(r.label), val.get(r.label)) for r in shown]
        panels = [panel for panel in panels if panel.train or panel.val]
        if any(len(c.steps) > 1 for p in panels for c in (p.train, p.val) if c is not None):
            told.append(Learning(name, panels, val.get(base), base, max(len(standing), len(panels))))
    return told


def _read(rows: Sequence[Row], metrics: Sequence[str], histories: Histories) -> dict[str, dict[str, Curve | None]]:
    """By metric, the curve of each row."""
    run_ids = [record.run_id for row in rows for record in row.runs.values()]
    return {
        metric: {row.label: curve([told.get(r.run_id, []) for r in row.runs.values()]) for row in rows}
        for metric, told in histories(run_ids, metrics).items()
    }
