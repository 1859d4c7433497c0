"""Runs without a result: a list of all of them, and their numbers by strategy."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from reglab.report.findings.findings import Findings
from reglab.report.number_format import MISSING
from reglab.report.records import numeric_order


@dataclass(frozen=True)
class FailedRun:
    """A run without a result: its arm or trial, data set, seed, outcome (``diverged at step 40``) and id."""

    label: str
    data: str
    seed: str
    outcome: str
    run_id: str


@dataclass(frozen=True)
class StrategyFailures:
    """Number of runs of a strategy, without those of the tuning, and of failures by outcome."""

    strategy: str
    runs: int
    failed: Mapping[str, int]


def failed_runs(findings: Findings) -> list[FailedRun]:
    """Return all runs without a result, including those of the tuning, sorted by label, data set and seed."""
    tables = {found.task.data: found.table for found in findings.tasks}
    failed = [
        FailedRun(
            tables[f.data].label(f.record) if f.data in tables else f.strategy,
            f.data,
            f.seed,
            f.outcome,
            f.record.run_id,
        )
        for f in findings.failures
    ]
    failed += [
        FailedRun(
            f"{trial.strategy}, tuning trial {trial.number}",
            found.task.data,
            failure.record.tags.get("seed", MISSING),
            failure.outcome,
            failure.record.run_id,
        )
        for found in findings.tasks
        if found.tuning is not None
        for trial in found.tuning.trials
        for failure in trial.failures
    ]
    return sorted(failed, key=lambda run: (run.label, run.data, numeric_order(run.seed)))


def failures_by_strategy(findings: Findings) -> list[StrategyFailures]:
    """Return the failures of each strategy by outcome; empty if no run failed. Tuning runs are not counted."""
    kinds = Counter((failure.strategy, failure.outcome_kind) for failure in findings.failures)
    if not kinds:
        return []
    compared = Counter(arm.strategy for found in findings.tasks for arm in found.table.arms for _ in arm.runs)
    lost = Counter(failure.strategy for failure in findings.failures)
    outcomes = sorted({outcome for _, outcome in kinds})
    return [
        StrategyFailures(
            strategy, compared[strategy] + lost[strategy], {outcome: kinds[strategy, outcome] for outcome in outcomes}
        )
        for strategy in sorted({*compared, *lost})
    ]
