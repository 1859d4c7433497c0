"""Fill a store with many synthetic runs: copies of the rows of one trained run, with other tags, params and metrics.

Tags and params come from the code that writes those of real runs. The store holds one complete study (tuning and
confirmation); all other runs belong to sweeps over data sets, label noise, strategies and seeds.
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
class SyntheticRuns:
    """Contents of a synthetic store.

    Attributes:
        runs: number of runs in the store.
        data: data sets of the sweeps.
        noises: label noise; the study has one task for each, the sweeps one for each combination with `data`.
        strategies: of the study and the sweeps.
        trials: of the study.
        tuning_seeds: of the study.
        seeds: of the study.
    """

    runs: int
    data: tuple[str, ...]
    noises: tuple[float, ...]
    strategies: tuple[str, ...]
    trials: int
    tuning_seeds: int
    seeds: int

    def study(self, version: int = 1) -> list[str]:
        """Return the overrides of the study; the store holds all runs of version 1 and none of other versions."""
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
        """Number of runs of the study; `none` has trials as well, since the learning rate is tuned."""
        return len(self.noises) * len(self.strategies) * (self.trials * self.tuning_seeds + self.seeds)


LARGE_STORE = SyntheticRuns(
    runs=10_000,
    data=("digits", "breast_cancer", "mnist1d", "mnist5k", "seed_noise"),
    noises=(0.0, 0.1, 0.2, 0.3, 0.4),
    strategies=("none", "l1", "l2", "weight_decay", "dropout", "max_norm", "label_smoothing", "dropout+l1"),
    trials=16,
    tuning_seeds=2,
    seeds=10,
)
SMALL_STORE = SyntheticRuns(100, ("digits",), (0.0, 0.2), ("none", "dropout"), trials=2, tuning_seeds=1, seeds=3)


def fill_store(database: Path, contents: SyntheticRuns) -> None:
    """Create a store at `database`, which must not exist: train one run and copy its rows for all others."""
    uri = f"sqlite:///{database}"
    template = Template.read(database, train_template(uri, EPOCHS))
    open_store(uri, "reglab")
    with Copier(database, template) as copier:
        runs = itertools.chain(_study(contents, template), _sweeps(contents))
        for labels in itertools.islice(runs, contents.runs - 1):
            copier.copy(*labels)


def _study(contents: SyntheticRuns, template: Template) -> Iterator[Labels]:
    """Yield all runs of the study: the results of tuning determine the confirmation runs."""
    cfg = Composer("study").compose(contents.study())
    study = read_study(cfg.study, None, [path.stem for path in (CONF / "regularizer").glob("*.yaml")])
    composer = Composer()
    arms = make_arms(study, composer)
    plan = study_progress(study, arms, composer, {})
    ended: dict[str, EndedRun] = {}
    for phase in PHASES:
        for job in plan.missing(phase):
            labels = _labels(job.config.copy(), phase=phase, study=study.title, tuned=",".join(plan.tuned_keys))
            ended[job.config_hash] = EndedRun(template.final_metrics(labels[1]))
            yield labels
        plan = study_progress(study, arms, composer, ended)


def _sweeps(contents: SyntheticRuns) -> Iterator[Labels]:
    """Yield runs of sweeps without end, seed by seed; only the first run of each setting is composed."""
    composer, first = Composer(), []
    for data, noise, strategy in itertools.product(contents.data, contents.noises, contents.strategies):
        regularizer = f"[{strategy.replace('+', ',')}]"
        line = [
            f"data={data}",
            f"regularizer={regularizer}",
            f"data.label_noise={noise}",
            f"trainer.max_epochs={EPOCHS}",
        ]
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


def _labels(cfg: DictConfig, **tracking: str) -> Labels:
    """Return name, tags and params of a run with these values in ``cfg.tracking``, as a study or sweep sets them."""
    with open_dict(cfg.tracking):
        cfg.tracking.update(tracking)
    return run_record.run_name(cfg), run_record.tags(cfg), run_record.params(cfg)
