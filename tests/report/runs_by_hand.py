"""Test runs: records without a store, or runs logged to a store by MLflow's client."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlflow.entities import Metric, Param, RunTag

from reglab.report.findings.findings import Findings, compute_findings
from reglab.report.findings.leaderboard import Entry
from reglab.report.folder import ReportSource
from reglab.report.question import resolve_question
from reglab.tracking.store import Store

_count = itertools.count()
SOURCE = ReportSource("sweep", "0a1b2c3d", "by-hand")
NONE = [0.70, 0.72, 0.74, 0.71, 0.73, 0.75]
UP = [0.75, 0.78, 0.78, 0.77, 0.80, 0.79]  # differences .05 .06 .04 .06 .07 .04
HASHES = ("split_hash", "init_hash", "order_hash")


@dataclass(frozen=True)
class Rec:
    """Record of a run, without a store."""

    run_id: str
    status: str = "FINISHED"
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    started: float | None = None
    ended: float | None = None


def tags(strategy: str, seed: int, data: str = "digits", **extra_tags: str) -> dict[str, str]:
    """Return the tags of a complete run: hashes that depend on the seed alone, and 200 test rows of 1,000."""
    proofs = {name: f"{name[0]}{seed}" for name in HASHES}
    sizes = {"rows": "1000", "test_rows": "200", "split_seed": str(seed)}
    return {"strategy": strategy, "data": data, "seed": str(seed), **proofs, **sizes, **extra_tags}


def rec(
    strategy: str,
    seed: int,
    metrics: Mapping[str, float] | None = None,
    *,
    status: str = "FINISHED",
    started: float = 0.0,
    strengths: Mapping[str, float] | None = None,
    run_id: str | None = None,
    **extra_tags: str,
) -> Rec:
    """Return a record with the tags of a complete run."""
    tracked_params = {f"regularizer.{name}": str(value) for name, value in (strengths or {}).items()}
    return Rec(
        run_id or f"run{next(_count)}",
        status,
        tags(strategy, seed, **extra_tags),
        tracked_params,
        dict(metrics or {}),
        started,
    )


def accuracies(by_strategy: Mapping[str, Sequence[float]], **extra_tags: str) -> list[Rec]:
    """Return one run per value, with seeds from 0."""
    return [
        rec(strategy, seed, {"test/accuracy": value}, **extra_tags)
        for strategy, values in by_strategy.items()
        for seed, value in enumerate(values)
    ]


def analyze(records: Sequence[Rec], **options: Any) -> Findings:
    """Return the findings on the runs, by default for test/accuracy."""
    return compute_findings(records, resolve_question(records, **{"metric": "test/accuracy", **options}))


def entries_of(findings: Findings) -> dict[str, Entry]:
    """Return the entries of the leaderboard by label."""
    return {line.label: line for line in findings.entries}


def log(
    store: Store,
    run_tags: Mapping[str, str],
    metrics: Mapping[str, float] | None = None,
    params: Mapping[str, object] | None = None,
    histories: Mapping[str, Sequence[float]] | None = None,
    status: str = "FINISHED",
    started: int | None = None,
) -> str:
    """Log one run by MLflow's client, with histories by epoch from 1, and return its id."""
    start_ms = started or int(time.time() * 1000)
    run = store.client.create_run(store.experiment_id, start_time=start_ms, tags=dict(run_tags))
    logged = [Metric(name, value, start_ms, 0) for name, value in (metrics or {}).items()]
    for name, values in (histories or {}).items():
        logged += [Metric(name, value, start_ms + epoch, epoch) for epoch, value in enumerate(values, start=1)]
    tracked_params = [Param(name, str(value)) for name, value in (params or {}).items()]
    store.client.log_batch(run.info.run_id, metrics=logged, params=tracked_params, tags=[RunTag("by", "hand")])
    if status != "RUNNING":
        store.client.set_terminated(run.info.run_id, status)
    return run.info.run_id
