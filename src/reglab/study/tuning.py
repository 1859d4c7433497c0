"""The tuning of one cell, as far as it has come: which trials there are, which runs they need, which one is chosen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reglab.config.compose import Composer
from reglab.execution.expand import Job
from reglab.samplers import Observation, get_sampler
from reglab.schema.search_space import Values
from reglab.study.cells import Cell
from reglab.study.definition import Study


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        metrics: figures by tracked name; None where it failed.
        seconds: of training.
        diverged: it failed because its loss stopped being finite.
        wall: seconds from its start to its end.
        kind: data set and model, ``digits mlp``.
    """

    metrics: Mapping[str, float] | None
    seconds: float = 0.0
    diverged: bool = False
    wall: float = 0.0
    kind: str = ""


Results = Mapping[str, Result]
"""By identity (`config_hash`), of all runs that are over."""


@dataclass
class Trial:
    """One point of a cell's space.

    Attributes:
        index: from 0.
        values: by key.
        jobs: its runs, rung by rung and seed by seed.
        score: mean of what chooses, over its tuning seeds, on the last rung it was trained on; None before that, and
            where a run failed.
        failed: a run of it gave nothing.
        rung: the last one it was trained on, from 0.
        pruned: it was left behind on that rung.
        seconds: of training, over all its runs that are over.
    """

    index: int
    values: Values
    jobs: list[Job] = field(default_factory=list)
    score: float | None = None
    failed: bool = False
    rung: int = 0
    pruned: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Tuning:
    """A cell's trials, in the order of their numbers; `done` once no run of them is missing any more."""

    cell: Cell
    trials: Sequence[Trial]
    done: bool
    chosen: Trial | None

    @property
    def jobs(self) -> list[Job]:
        """All runs that are known so far."""
        return [job for trial in self.trials for job in trial.jobs]


def tuning(study: Study, cell: Cell, composer: Composer, results: Results) -> Tuning:
    """A pure function of the study and of what is tracked: it does not matter when, where or in which order.

    Args:
        study: with its budget.
        cell: what is tuned.
        composer: makes configs.
        results: of all runs that are over; those of others do not matter.
    """
    trials: list[Trial] = []
    done = True
    count = study.trials if cell.space else 1  # without a space all trials would be one
    while len(trials) < count and not (trials and _spent(trials, study)):
        trial = Trial(len(trials), _values(study, cell, trials))
        trials.append(trial)
        done &= _train(trial, study, cell, composer, results, rung=0)
        if study.sequential and not done:
            break
    if study.pruning is not None:
        done = _prune(trials, study, cell, composer, results) if done else False
    finalists = [trial for trial in trials if trial.score is not None and not trial.pruned]
    best = min(finalists, key=lambda trial: _cost(trial, study), default=None)
    return Tuning(cell, trials, done, best if done else None)


def _values(study: Study, cell: Cell, before: Sequence[Trial]) -> Values:
    history = [Observation(trial.values, trial.score) for trial in before]
    arm = f"{cell.about} {cell.strategy}"
    sampler = get_sampler(study.sampler)
    return sampler.propose(cell.space, history, seed=study.search_seed, arm=arm, minimize=study.minimized)


def _spent(trials: Sequence[Trial], study: Study) -> bool:
    return study.max_seconds is not None and sum(trial.seconds for trial in trials) >= study.max_seconds


def _train(trial: Trial, study: Study, cell: Cell, composer: Composer, results: Results, rung: int) -> bool:
    """Puts the runs of a rung to the trial, with what came of them; whether all of them are over."""
    epochs, label = None, f"{cell.strategy} trial {trial.index}"
    if study.pruning is not None:
        epochs = study.pruning.epochs(rung, cell.epochs)
        label += f" rung {rung}"
    jobs = [cell.job(composer, trial.values, seed, label, epochs) for seed in study.tuning_seeds]
    trial.jobs += jobs
    trial.rung, trial.score = rung, None
    told = [results[job.config_hash] for job in jobs if job.config_hash in results]
    trial.seconds += sum(result.seconds for result in told)
    scores = [score(result, study) for result in told]
    trial.failed |= None in scores
    if len(told) == len(jobs) and not trial.failed:
        trial.score = sum(s for s in scores if s is not None) / len(jobs)
    return len(told) == len(jobs)


def score(result: Result, study: Study) -> float | None:
    """Return the selection metric of one run; None if it has no finite value."""
    for name in study.select_by:
        value = (result.metrics or {}).get(name)
        if value is not None and math.isfinite(value) and abs(value) < 1e300:
            return value
    return None


def _prune(trials: Sequence[Trial], study: Study, cell: Cell, composer: Composer, results: Results) -> bool:
    """Rung by rung the best go on (Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification")."""
    assert study.pruning is not None
    alive = list(trials)
    for rung in range(1, study.pruning.rungs):
        ranked = sorted((t for t in alive if t.score is not None), key=lambda trial: _cost(trial, study))
        kept = ranked[: max(1, math.ceil(len(alive) / study.pruning.eta))]
        for trial in alive:
            trial.pruned = trial not in kept and not trial.failed
        alive = sorted(kept, key=lambda trial: trial.index)
        over = [_train(trial, study, cell, composer, results, rung) for trial in alive]  # all of them, then ask
        if not all(over):
            return False
    return True


def _cost(trial: Trial, study: Study) -> float:
    assert trial.score is not None
    return trial.score if study.minimized else -trial.score
