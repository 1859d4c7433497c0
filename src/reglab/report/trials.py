"""What came of each trial of a study's tuning: tracked runs in, one row a trial out."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reglab.report.records import Record, value
from reglab.report.run_filter import Failure, failure_of
from reglab.report.study_record import Job, StudyRecord, tuning
from reglab.schema.search_space import Value, value_from_json
from reglab.wording import csv_text

COLUMNS = ("task", "strategy", "trial", "rung", "values", "score", "seeds", "seconds", "status", "chosen")
NO_SCORE = ("diverged", "failed", "not done")


@dataclass(frozen=True)
class Trial:
    """One point of a strategy's space on one task.

    Attributes:
        task: as the study calls it.
        strategy: as tagged.
        number: from 0.
        rung: the last one that it was trained on, from 0.
        values: by key.
        score: mean over its tuning seeds of what chooses, on the last rung; None where a run gave none.
        test: mean of the reported metric over the same runs; None where one has none.
        seeds: how many runs of the last rung gave a score.
        runs: how many were trained, over all rungs.
        seconds: of training, over all its runs.
        status: ``finished``, ``pruned``, ``diverged``, ``failed`` or ``not done``.
        chosen: whether it went on to fresh seeds.
        failures: those of its runs that gave no score.
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


def trials(study: StudyRecord, records: Iterable[Record], metric: str) -> list[Trial]:
    """All trials, task by task, strategy by strategy, in the order of their numbers.

    Args:
        study: what was declared.
        records: tracked runs, those of the tuning among them.
        metric: what is reported.
    """
    known = _by_identity(records)
    groups: dict[tuple[str, str, int], list[Job]] = {}
    for job in study.jobs:
        if tuning(job):
            groups.setdefault((job["task"], job["strategy"], job["trial"]), []).append(job)
    return [_trial(study, jobs, known, metric) for jobs in groups.values()]


def finished(some: Iterable[Trial]) -> list[Trial]:
    """Those that could be chosen."""
    return [trial for trial in some if trial.status == "finished"]


def best(some: Iterable[Trial], *, minimized: bool) -> Trial | None:
    """The one with the best score, the first of equals; None where none has finished."""
    sign = 1.0 if minimized else -1.0
    return min(finished(some), key=lambda trial: sign * (trial.score or 0.0), default=None)


def values_text(values: Mapping[str, Value]) -> str:
    """The values as JSON, infinity as text."""
    return json.dumps({key: str(v) if v in (float("inf"), float("-inf")) else v for key, v in values.items()})


def to_csv(some: Iterable[Trial]) -> str:
    """`COLUMNS` as CSV text: a row a trial, values as JSON, empty where there is no score."""
    rows = []
    for t in some:
        score = "" if t.score is None else f"{t.score:.10g}"
        told = (t.task, t.strategy, t.number, t.rung, values_text(t.values), score, t.seeds, f"{t.seconds:.10g}")
        rows.append((*told, t.status, str(t.chosen).lower()))
    return csv_text(COLUMNS, rows)


def seconds_of(record: Record) -> float:
    """Seconds of training; from start to end where the run did not get so far as to tell."""
    told = value(record, "time/train_s") if record.status == "FINISHED" else None
    return told if told is not None else max(0.0, (record.ended or 0.0) - (record.started or 0.0))


def score_of(study: StudyRecord, record: Record) -> float | None:
    """Return the selection metric of one run; None if it has no finite value."""
    if record.status != "FINISHED":
        return None
    return next((v for name in study.select_by if (v := value(record, name)) is not None), None)


def _trial(study: StudyRecord, jobs: Sequence[Job], known: Mapping[str, Record], metric: str) -> Trial:
    rung = max(job["rung"] for job in jobs)
    # Rungs of equal length are one run, which counts once.
    runs = list({job["config_hash"]: known[job["config_hash"]] for job in jobs if job["config_hash"] in known}.values())
    last = [known.get(job["config_hash"]) for job in jobs if job["rung"] == rung]
    scores = [None if record is None else score_of(study, record) for record in last]
    told = [score for score in scores if score is not None]
    failed = [failure_of(record, study.select_by[0]) for record in runs if score_of(study, record) is None]
    tests = [None if record is None else value(record, metric) for record in last]
    whole = len(told) == len(last) and not failed
    told_tests = [v for v in tests if v is not None]
    return Trial(
        task=jobs[0]["task"],
        strategy=jobs[0]["strategy"],
        number=jobs[0]["trial"],
        rung=rung,
        values={key: value_from_json(v) for key, v in jobs[0].get("values", {}).items()},
        score=sum(told) / len(told) if whole else None,
        test=sum(told_tests) / len(told_tests) if whole and len(told_tests) == len(last) else None,
        seeds=len(told),
        runs=len(runs),
        seconds=sum(map(seconds_of, runs)),
        status=_status(failed, whole=whole, pruned=bool(jobs[0].get("pruned"))),
        chosen=bool(jobs[0].get("chosen")),
        failures=failed,
    )


def _status(failed: Sequence[Failure], *, whole: bool, pruned: bool) -> str:
    if any(failure.record.tags.get("diverged") == "true" for failure in failed):
        return "diverged"
    if any(failure.record.status in ("FAILED", "FINISHED") for failure in failed):
        return "failed"
    if not whole:
        return "not done"
    return "pruned" if pruned else "finished"


def _by_identity(records: Iterable[Record]) -> dict[str, Record]:
    """The run that counts of each identity: the newest finished one, else the newest that diverged, else the newest."""

    def order(record: Record) -> tuple[bool, bool, float]:
        return record.status == "FINISHED", record.tags.get("diverged") == "true", record.started or 0.0

    known: dict[str, Record] = {}
    for record in records:
        identity = record.tags.get("config_hash")
        if (
            identity
            and "rerun_of" not in record.tags
            and (identity not in known or order(record) >= order(known[identity]))
        ):
            known[identity] = record
    return known
