"""A study as its parent run records it (`study.json`, `declared.json`): space, budget, and all declared runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reglab.report.records import escape_values
from reglab.samplers import get_sampler
from reglab.schema.metrics import direction_of
from reglab.schema.search_space import Dimension, Value, dimension_from_json

Job = Mapping[str, Any]


@dataclass(frozen=True)
class StudyRecord:
    """The tuning budget and rules of a study, and all its runs.

    Attributes:
        space: search space by strategy.
        select_by: validation metrics in order of preference; the first one that a run tracks is its score.
        minimized: whether low scores are good.
        trials: budget of each strategy.
        max_seconds: of training, after which the tuning of a strategy ends; None: no limit.
        tuning_seeds: one run of each trial for each.
        seeds: one run of each chosen trial for each; different from the tuning seeds.
        sampler: name of a sampler.
        search_seed: of the sampler.
        pruning: ``{eta: 3, rungs: 3}``, None without pruning.
        baseline: strategy that the others are compared with.
        jobs: every run: its `config_hash`, `task`, `strategy`, `seed`, `phase`, `trial`, `values`, `rung` ...
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
