"""A store as years of studies leave it: the rows of one real run, written again under other names and numbers.

Tags and params come from the code that gives real runs theirs. A study is among them with all its runs, tuning and
confirmation; the rest are sweeps: data sets, shares of wrong labels, strategies, and as many seeds as are needed.
"""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from benchmarks.rows import Copier, Template, train_template
from reglab.config.compose import Composer
from reglab.paths import CONF
from reglab.study.arms import make_arms
from reglab.study.definition import read_study
from reglab.study.progress import PHASES, study_progress
from reglab.study.tuning import EndedRun
from reglab.tracking.store import open_store
from reglab.training import run_record

EPOCHS = 20
Labels = tuple[str, dict[str, str], dict[str, Any]]
"""Name, tags and params of a run."""


@dataclass(frozen=True)
class Crowd:
    """How many runs; the study among them has a task for each of `noises`, the sweeps one for each and data set."""

    runs: int
    data: tuple[str, ...]
    noises: tuple[float, ...]
    strategies: tuple[str, ...]
    trials: int
    tuning_seeds: int
    seeds: int

    def study(self, version: int = 1) -> list[str]:
        """The study as on the command line: of version 1 all runs are done, of another none."""
        noises = ",".join(map(str, self.noises))
        return [
            "study=quick",
            "study.name=crowd",
            f"study.version={version}",
            f"study.search_seed={version}",
            f"study.tasks=[{{data:digits,data.label_noise:[{noises}],model:mlp}}]",
            f"study.common={{data:{{train_size:1000}},trainer:{{max_epochs:{EPOCHS}}}}}",
            f"study.strategies=[{','.join(self.strategies)}]",
            f"study.trials={self.trials}",
            f"study.tuning_seeds={self.tuning_seeds}",
            f"study.seeds={self.seeds}",
        ]

    @property
    def study_runs(self) -> int:
        """How many runs the study has; `none` has strengths to search as well, since the learning rate is one."""
        return len(self.noises) * len(self.strategies) * (self.trials * self.tuning_seeds + self.seeds)


CROWD = Crowd(
    runs=10_000,
    data=("digits", "breast_cancer", "mnist1d", "mnist5k", "seed_noise"),
    noises=(0.0, 0.1, 0.2, 0.3, 0.4),
    strategies=("none", "l1", "l2", "weight_decay", "dropout", "max_norm", "label_smoothing", "dropout+l1"),
    trials=16,
    tuning_seeds=2,
    seeds=10,
)
TINY = Crowd(100, ("digits",), (0.0, 0.2), ("none", "dropout"), trials=2, tuning_seeds=1, seeds=3)


def fill(database: Path, crowd: Crowd) -> None:
    """Makes the store at `database`, which must not exist: one run is trained, all others are copies of its rows."""
    uri = f"sqlite:///{database}"
    template = Template.read(database, train_template(uri, EPOCHS))
    open_store(uri, "reglab")
    with Copier(database, template) as copier:
        runs = itertools.chain(_study(crowd, template), _sweeps(crowd))
        for labels in itertools.islice(runs, crowd.runs - 1):
            copier.copy(*labels)


def _study(crowd: Crowd, template: Template) -> Iterator[Labels]:
    """All runs of the study: what is confirmed follows from what tuning told."""
    cfg = Composer("study").compose(crowd.study())
    study = read_study(cfg.study, None, [path.stem for path in (CONF / "regularizer").glob("*.yaml")])
    composer = Composer()
    found = make_arms(study, composer)
    plan = study_progress(study, found, composer, {})
    told: dict[str, EndedRun] = {}
    for phase in PHASES:
        for job in plan.missing(phase):
            labels = _labels(job.config.copy(), phase=phase, study=study.title, tuned=",".join(plan.tuned_keys))
            told[job.config_hash] = EndedRun(template.told(labels[1]))
            yield labels
        plan = study_progress(study, found, composer, told)


def _sweeps(crowd: Crowd) -> Iterator[Labels]:
    """Runs of sweeps, seed by seed without end; only the first of each setting is composed, and tells of all."""
    composer, first = Composer(), []
    for data, noise, strategy in itertools.product(crowd.data, crowd.noises, crowd.strategies):
        chosen = f"[{strategy.replace('+', ',')}]"
        line = [f"data={data}", f"regularizer={chosen}", f"data.label_noise={noise}", f"trainer.max_epochs={EPOCHS}"]
        first.append(_labels(composer.compose(line), phase="sweep", sweep=f"{data} {noise}"))
    for seed in itertools.count():
        for name, tags, params in first:
            own = {"seed": str(seed), "split_seed": str(seed)}
            identity = hashlib.sha256(f"{tags['config_hash']} {seed}".encode()).hexdigest()[:16]
            yield (
                name.replace("seed=0", f"seed={seed}"),
                tags | own | {"config_hash": identity},
                params | {"seed": seed},
            )


def _labels(cfg: DictConfig, **told: str) -> Labels:
    """Name, tags and params of a run whose study or sweep tells it these."""
    with open_dict(cfg.tracking):
        cfg.tracking.update(told)
    return run_record.run_name(cfg), run_record.tags(cfg), run_record.params(cfg)
