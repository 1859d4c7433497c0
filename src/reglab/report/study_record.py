"""What a study declared of its tuning, as its parent run keeps it (`study.json`, `declared.json`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reglab.report.records import legible_values
from reglab.samplers import get_sampler
from reglab.schema.metrics import guess_direction
from reglab.schema.search_space import Dimension, dimension_from_json

Job = Mapping[str, Any]


@dataclass(frozen=True)
class StudyRecord:
    """The budget and rules of a study's tuning, and all its runs.

    Attributes:
        space: what was searched, by strategy.
        select_by: validation metrics in order of preference: the first one that a run tracks is its score.
        minimized: whether low scores are good.
        trials: budget of each strategy.
        max_seconds: of training, that ends a tuning before; None: nothing does.
        tuning_seeds: runs of each trial.
        seeds: runs of each chosen trial, on other seeds.
        sampler: name of a sampler.
        search_seed: of the sampler.
        pruning: ``{eta: 3, rungs: 3}``, None without.
        baseline: name of the strategy that others are compared with.
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
        """Whether trials are exchangeable: their order is random and all were trained alike."""
        return not get_sampler(self.sampler).no_exchangeability and self.pruning is None

    def tuned(self, strategy: str) -> bool:
        """Whether there was anything to search."""
        return bool(self.space.get(strategy))

    def task_of(self, data: str, setting: str) -> str | None:
        """The study's own name of the task whose confirmation runs are of this data set under this setting."""
        own = (job for job in self.jobs if (job["data"], job["setting"]) == (data, setting) and not tuning(job))
        return next((job["task"] for job in own), None)


def parse_study_record(definition: Mapping[str, Any], jobs: Sequence[Job]) -> StudyRecord:
    """Reads both files.

    Args:
        definition: as `declaration.declaration` makes it.
        jobs: as `Progress.declared` makes them.
    """
    definition, jobs = legible_values(definition), legible_values(jobs)
    select_by = tuple(definition["select_by"])
    return StudyRecord(
        space={name: tuple(map(dimension_from_json, told.values())) for name, told in definition["space"].items()},
        select_by=select_by,
        minimized=(guess_direction(select_by[0]) or definition["direction"]) == "min",
        trials=definition["trials"],
        max_seconds=definition["max_seconds"],
        tuning_seeds=tuple(definition["tuning_seeds"]),
        seeds=tuple(sorted({int(job["seed"]) for job in jobs if job.get("config_hash") and not tuning(job)})),
        sampler=definition["sampler"],
        search_seed=definition["search_seed"],
        pruning=definition["pruning"],
        baseline=definition["baseline"],
        jobs=[job for job in jobs if job.get("config_hash")],
    )


def tuning(job: Job) -> bool:
    """Whether it is a run of the tuning."""
    return job.get("phase") == "tune"


def short(key: str) -> str:
    """``lr`` for ``optimizer.lr``, ``dropout.p`` for ``regularizer.dropout.p``."""
    return key.removeprefix("regularizer.").removeprefix("optimizer.")
