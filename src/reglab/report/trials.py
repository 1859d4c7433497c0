"""A study as its parent run records it (`study.json`, `declared.json`), and the trials of its tuning."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reglab.report.records import RunRecord, escape_values, finite_metric
from reglab.report.run_filter import Failure, classify_failure
from reglab.samplers import get_sampler
from reglab.schema.metrics import direction_of
from reglab.schema.search_space import Dimension, Value, dimension_from_json, value_from_json

Job = Mapping[str, Any]
NO_SCORE = ("diverged", "failed", "not done")  # statuses


@dataclass(frozen=True)
class StudyRecord:
    """The tuning budget and rules of a study, and all its runs.

    Attributes:
        space: search space by strategy.
        select_by: validation metrics in order of preference; the first one that a run tracks is its score.
        minimized: whether low scores are good.
        trials: budget of each strategy.
        max_seconds: seconds of training after which the tuning of a strategy ends; None: no limit.
        tuning_seeds: seeds of the tuning; each trial has one run per seed.
        seeds: fresh seeds, different from the tuning seeds; each chosen trial has one run per seed.
        sampler: name of a sampler.
        search_seed: seed of the sampler.
        pruning: ``{eta: 3, rungs: 3}``, None without pruning.
        baseline: strategy that the others are compared with.
        jobs: fields of every run: `config_hash`, `task`, `strategy`, `seed`, `phase`, `trial`, `values`, `rung` ...
    """

    space: Mapping[str, tuple[Dimension, ...]]
    select_by: tuple[str, ...]
    minimized: bool
    trials: int
    max_seconds: float | None
    tuning_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    sampler: str
    search_seed: int
    pruning: Mapping[str, int] | None
    baseline: str
    jobs: Sequence[Job]

    @property
    def exchangeable(self) -> bool:
        """Whether trials are exchangeable: their order is random, and all were trained for the same time."""
        return not get_sampler(self.sampler).no_exchangeability and self.pruning is None

    def is_tuned(self, strategy: str) -> bool:
        """Return whether the strategy has a search space."""
        return bool(self.space.get(strategy))

    def task_name(self, data: str, setting: str) -> str | None:
        """Return the study's name of the task with confirmation runs of this data set and setting; None if none."""
        jobs = (job for job in self.jobs if (job["data"], job["setting"]) == (data, setting))
        return next((job["task"] for job in jobs if not is_tuning(job)), None)


def parse_study_record(definition: Mapping[str, Any], jobs: Sequence[Job]) -> StudyRecord:
    """Return the record of a study from the contents of its two files.

    Args:
        definition: `study.json`.
        jobs: `declared.json`.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: the files are damaged.
    """
    definition, jobs = escape_values(definition), escape_values(jobs)
    select_by = tuple(definition["select_by"])
    return StudyRecord(
        space={name: tuple(map(dimension_from_json, space.values())) for name, space in definition["space"].items()},
        select_by=select_by,
        minimized=(direction_of(select_by[0]) or definition["direction"]) == "min",
        trials=definition["trials"],
        max_seconds=definition["max_seconds"],
        tuning_seeds=tuple(definition["tuning_seeds"]),
        seeds=tuple(sorted({int(job["seed"]) for job in jobs if job.get("config_hash") and not is_tuning(job)})),
        sampler=definition["sampler"],
        search_seed=definition["search_seed"],
        pruning=definition["pruning"],
        baseline=definition["baseline"],
        jobs=[job for job in jobs if job.get("config_hash")],
    )


def is_tuning(job: Job) -> bool:
    """Return whether a job is a run of the tuning, and not of the confirmation."""
    return job.get("phase") == "tune"


def short_key(key: str) -> str:
    """Return a config key without its prefix.

    >>> short_key("optimizer.lr"), short_key("regularizer.dropout.p")
    ('lr', 'dropout.p')
    """
    return key.removeprefix("regularizer.").removeprefix("optimizer.")


def format_values(values: Mapping[str, Value]) -> str:
    """Return searched values as text.

    >>> format_values({"optimizer.lr": 0.0022, "regularizer.dropout.p": 0.31})
    'lr=0.0022, dropout.p=0.31'
    """
    return ", ".join(
        f"{short_key(key)}={value:g}" if isinstance(value, float) else f"{short_key(key)}={value}"
        for key, value in values.items()
    )


@dataclass(frozen=True)
class TrialSummary:
    """One point of a strategy's search space on one task.

    Attributes:
        task: the study's name of the task.
        strategy: value of the tag `strategy`.
        number: index of the trial, from 0.
        rung: index of the last rung that it was trained on, from 0.
        values: value of each key.
        score: mean of the selection metric over the tuning seeds on the last rung; None if a run has none.
        test: mean of the reported metric over the same runs; None if a run has none.
        seeds: number of runs on the last rung that have a score.
        runs: number of trained runs over all rungs.
        seconds: seconds of training over all its runs.
        status: ``finished``, ``pruned``, ``diverged``, ``failed`` or ``not done``.
        chosen: whether it was run on fresh seeds.
        failures: runs of the trial without a score.
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


def collect_trials(study: StudyRecord, records: Iterable[RunRecord], metric: str) -> list[TrialSummary]:
    """Return all trials, by task, strategy and number.

    Args:
        study: record of the study with its declared runs.
        records: tracked runs, including those of the tuning.
        metric: reported metric.
    """
    by_hash = _latest_by_hash(records)
    groups: dict[tuple[str, str, int], list[Job]] = {}
    for job in study.jobs:
        if is_tuning(job):
            groups.setdefault((job["task"], job["strategy"], job["trial"]), []).append(job)
    return [_trial(study, jobs, by_hash, metric) for jobs in groups.values()]


def finished_trials(trials: Iterable[TrialSummary]) -> list[TrialSummary]:
    """Return the trials that can be chosen."""
    return [trial for trial in trials if trial.status == "finished"]


def best_trial(trials: Iterable[TrialSummary], *, minimized: bool) -> TrialSummary | None:
    """Return the finished trial with the best score, the first of ties; None if none has finished."""
    sign = 1.0 if minimized else -1.0
    return min(finished_trials(trials), key=lambda trial: sign * (trial.score or 0.0), default=None)


def run_score(study: StudyRecord, record: RunRecord) -> float | None:
    """Return the selection metric of one run; None if it has no finite value."""
    if record.status != "FINISHED":
        return None
    return next((value for name in study.select_by if (value := finite_metric(record, name)) is not None), None)


def training_seconds(record: RunRecord) -> float:
    """Return the seconds of training; of an unfinished run the time from start to end."""
    tracked = finite_metric(record, "time/train_s") if record.status == "FINISHED" else None
    return tracked if tracked is not None else max(0.0, (record.ended or 0.0) - (record.started or 0.0))


def _trial(study: StudyRecord, jobs: Sequence[Job], by_hash: Mapping[str, RunRecord], metric: str) -> TrialSummary:
    rung = max(job["rung"] for job in jobs)
    # Rungs of equal length share one run, which is counted once.
    hashes = dict.fromkeys(job["config_hash"] for job in jobs if job["config_hash"] in by_hash)
    runs = [by_hash[identity] for identity in hashes]
    last = [by_hash.get(job["config_hash"]) for job in jobs if job["rung"] == rung]
    scores = [score for record in last if record is not None and (score := run_score(study, record)) is not None]
    tests = [value for record in last if record is not None and (value := finite_metric(record, metric)) is not None]
    failed = [classify_failure(record, study.select_by[0]) for record in runs if run_score(study, record) is None]
    complete = len(scores) == len(last) and not failed
    return TrialSummary(
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


def _latest_by_hash(records: Iterable[RunRecord]) -> dict[str, RunRecord]:
    """Return one run for each config hash: the newest finished one, else the newest that diverged, else the newest."""

    def order(record: RunRecord) -> tuple[bool, bool, float]:
        return record.status == "FINISHED", record.tags.get("diverged") == "true", record.started or 0.0

    by_hash: dict[str, RunRecord] = {}
    for record in records:
        identity = record.tags.get("config_hash")
        if not identity or "rerun_of" in record.tags:
            continue
        if identity not in by_hash or order(record) >= order(by_hash[identity]):
            by_hash[identity] = record
    return by_hash
