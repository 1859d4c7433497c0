"""Learning curves of the arms that represent their strategies: mean and spread over seeds, by step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reglab.report.arms import Arm
from reglab.report.findings.findings import TaskFindings
from reglab.report.question import Question
from reglab.report.records import Histories, History
from reglab.schema.metrics import HEADLINES, base_name

MAX_ARMS = 12  # shown


@dataclass(frozen=True)
class Curve:
    """Mean and standard deviation over seeds, each of shape (steps,), where half of the seeds or more have a value."""

    steps: np.ndarray
    mean: np.ndarray
    std: np.ndarray


@dataclass(frozen=True)
class ArmCurves:
    """The curves of one arm; None if not tracked."""

    label: str
    strategy: str
    train: Curve | None
    val: Curve | None


@dataclass(frozen=True)
class LearningCurves:
    """Curves of ``train/<name>`` and ``val/<name>``.

    Attributes:
        name: name of the metric.
        arms: the best ones of the leaderboard.
        baseline: validation curve of the baseline.
        baseline_label: label of the baseline's arm.
        total_arms: number of arms that represent a strategy.
    """

    name: str
    arms: list[ArmCurves]
    baseline: Curve | None
    baseline_label: str
    total_arms: int


def average_histories(histories: Sequence[History]) -> Curve | None:
    """Return the curve of several seeds; None if no values were tracked."""
    tracked = [dict(history) for history in histories if history]
    steps = sorted({step for history in tracked for step in history})
    values = np.array([[history.get(step, np.nan) for step in steps] for history in tracked], dtype=float)
    if not steps:
        return None
    values[~(np.abs(values) < 1e300)] = np.nan  # MLflow stores infinity as 1.8e308
    count = (~np.isnan(values)).sum(axis=0)
    keep = count * 2 >= max(1, len(tracked))
    if not keep.any():
        return None
    values, count = values[:, keep], count[keep]
    mean = np.nansum(values, axis=0) / count
    variance = np.nansum((values - mean) ** 2, axis=0) / np.maximum(count - 1, 1)
    return Curve(np.array(steps)[keep], mean, np.sqrt(variance))


def learning_curves(task_findings: TaskFindings, question: Question, histories: Histories) -> list[LearningCurves]:
    """Return the curves of the metric and of the loss, if runs tracked them at more than one step.

    Args:
        task_findings: the leaderboard and the arms of the task.
        question: the reported metric.
        histories: reads tracked values.
    """
    arms = {arm.label: arm for arm in task_findings.table.arms}
    representatives = [
        arms[entry.label] for entry in task_findings.entries if entry.n and (entry.chosen or entry.baseline)
    ]
    shown = representatives[:MAX_ARMS]
    if task_findings.baseline is not None and task_findings.baseline not in shown:
        shown.append(task_findings.baseline)
    names = {question.metric.rsplit("/", 1)[-1], "loss"}
    tracked = {name for arm in shown for record in arm.runs.values() for name in record.metrics}
    if not any(f"val/{name}" in tracked for name in names - {"loss"}):  # measured once, not in every epoch
        names |= {base_name(metric) for metric in HEADLINES if f"val/{base_name(metric)}" in tracked}
    baseline = task_findings.baseline.label if task_findings.baseline is not None else ""
    metrics = [metric for name in sorted(names) for metric in (f"train/{name}", f"val/{name}") if metric in tracked]
    curves = _read_curves(shown, metrics, histories)
    all_curves = []
    for name in sorted(names):
        train, val = curves.get(f"train/{name}", {}), curves.get(f"val/{name}", {})
        by_arm = [ArmCurves(arm.label, arm.strategy, train.get(arm.label), val.get(arm.label)) for arm in shown]
        by_arm = [arm_curves for arm_curves in by_arm if arm_curves.train or arm_curves.val]
        if any(
            len(curve.steps) > 1
            for arm_curves in by_arm
            for curve in (arm_curves.train, arm_curves.val)
            if curve is not None
        ):
            total = max(len(representatives), len(by_arm))
            all_curves.append(LearningCurves(name, by_arm, val.get(baseline), baseline, total))
    return all_curves


def _read_curves(
    arms: Sequence[Arm], metrics: Sequence[str], histories: Histories
) -> dict[str, dict[str, Curve | None]]:
    """Return the curves by metric and arm."""
    run_ids = [record.run_id for arm in arms for record in arm.runs.values()]
    return {
        metric: {
            arm.label: average_histories([by_run.get(record.run_id, []) for record in arm.runs.values()])
            for arm in arms
        }
        for metric, by_run in histories(run_ids, metrics).items()
    }
