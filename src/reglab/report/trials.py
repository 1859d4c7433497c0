"""Trials of a study's tuning: scores, costs and outcomes, from the tracked runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reglab.report.records import Record, finite_metric
from reglab.report.run_filter import Failure, classify_failure
from reglab.report.study_record import Job, StudyRecord, is_tuning
from reglab.schema.search_space import Value, value_from_json

NO_SCORE = ("diverged", "failed", "not done")  # statuses


@dataclass(frozen=True)
class Trial:
    """One point of a strategy's search space on one task.

    Attributes:
        task: the study's name of the task.
        strategy: as tagged.
        number: from 0.
        rung: the last one that it was trained on, from 0.
        values: by key.
        score: mean of the selection metric over the tuning seeds on the last rung; None if a run has none.
        test: mean of the reported metric over the same runs; None if a run has none.
        seeds: number of runs on the last rung that have a score.
        runs: number of trained runs over all rungs.
        seconds: of training over all its runs.
        status: ``finished``, ``pruned``, ``diverged``, ``failed`` or ``not done``.
        chosen: whether it was run on fresh seeds.
        failures: its runs without a score.
    """

    task: str
    strategy: str
    number: int
    rung: int
    values: Mapping[str, Value]
    score: float | None
    test: float | None
    seeds: int
    runs: int
    seconds: float
    status: str
    chosen: bool
    failures: Sequence[Failure] = field(default=(), repr=False)


def collect_trials(study: StudyRecord, records: Iterable[Record], metric: str) -> list[Trial]:
    """Return all trials, by task, strategy and number.

    Args:
        study: with its declared runs.
        records: tracked runs, including those of the tuning.
        metric: reported metric.
    """
    by_hash = _latest_by_hash(records)
    groups: dict[tuple[str, str, int], list[Job]] = {}
    for job in study.jobs:
        if is_tuning(job):
            groups.setdefault((job["task"], job["strategy"], job["trial"]), []).append(job)
    return [_trial(study, jobs, by_hash, metric) for jobs in groups.values()]


def finished_trials(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials that can be chosen."""
    return [trial for trial in trials if trial.status == "finished"]


def best_trial(trials: Iterable[Trial], *, minimized: bool) -> Trial | None:
    """Return the finished trial with the best score, the first of ties; None if none has finished."""
    sign = 1.0 if minimized else -1.0
    return min(finished_trials(trials), key=lambda trial: sign * (trial.score or 0.0), default=None)


def run_score(study: StudyRecord, record: Record) -> float | None:
    """Return the selection metric of one run; None if it has no finite value."""
    if record.status != "FINISHED":
        return None
    return next((value for name in study.select_by if (value := finite_metric(record, name)) is not None), None)


def training_seconds(record: Record) -> float:
    """Return the seconds of training; of an unfinished run the time from start to end."""
    tracked = finite_metric(record, "time/train_s") if record.status == "FINISHED" else None
    return tracked if tracked is not None else max(0.0, (record.ended or 0.0) - (record.started or 0.0))


def _trial(study: StudyRecord, jobs: Sequence[Job], by_hash: Mapping[str, Record], metric: str) -> Trial:
    rung = max(job["rung"] for job in jobs)
    # Rungs of equal length share one run, which is counted once.
    hashes = dict.fromkeys(job["config_hash"] for job in jobs if job["config_hash"] in by_hash)
    runs = [by_hash[identity] for identity in hashes]
    last = [by_hash.get(job["config_hash"]) for job in jobs if job["rung"] == rung]
    scores = [score for record in last if record is not None and (score := run_score(study, record)) is not None]
    tests = [value for record in last if record is not None and (value := finite_metric(record, metric)) is not None]
    failed = [classify_failure(record, study.select_by[0]) for record in runs if run_score(study, record) is None]
    complete = len(scores) == len(last) and not failed
    return Trial(
        task=jobs[0]["task"],
        strategy=jobs[0]["strategy"],
        number=jobs[0]["trial"],
        rung=rung,
        values={key: value_from_json(value) for key, value in jobs[0].get("values", {}).items()},
        score=sum(scores) / len(scores) if complete else None,
        test=sum(tests) / len(tests) if complete and len(tests) == len(last) else None,
        seeds=len(scores),
        runs=len(runs),
        seconds=sum(map(training_seconds, runs)),
        status=_status(failed, complete=complete, pruned=bool(jobs[0].get("pruned"))),
        chosen=bool(jobs[0].get("chosen")),
        failures=failed,
    )


def _status(failed: Sequence[Failure], *, complete: bool, pruned: bool) -> str:
    if any(failure.record.tags.get("diverged") == "true" for failure in failed):
        return "diverged"
    if any(failure.record.status in ("FAILED", "FINISHED") for failure in failed):
        return "failed"
    if not complete:
        return "not done"
    return "pruned" if pruned else "finished"


def _latest_by_hash(records: Iterable[Record]) -> dict[str, Record]:
    """Return one run for each config hash: the newest finished one, else the newest that diverged, else the newest."""

    def order(record: Record) -> tuple[bool, bool, float]:
        return record.status == "FINISHED", record.tags.get("diverged") == "true", record.started or 0.0

    by_hash: dict[str, Record] = {}
    for record in records:
        identity = record.tags.get("config_hash")
        if not identity or "rerun_of" in record.tags:
            continue
        if identity not in by_hash or order(record) >= order(by_hash[identity]):
            by_hash[identity] = record
    return by_hash
