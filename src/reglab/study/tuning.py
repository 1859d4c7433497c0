"""The tuning of an arm as a pure function of tracked results: its trials, the runs they need, and the chosen trial."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reglab.config.compose import Composer
from reglab.execution.expand import Job
from reglab.samplers import Observation, get_sampler
from reglab.schema.search_space import Values
from reglab.study.arms import StudyArm
from reglab.study.definition import Study

_MAX_SCORE = 1e300  # means of larger ones overflow


@dataclass(frozen=True)
class EndedRun:
    """The result of a run that has ended.

    Attributes:
        metrics: metrics by tracked name; None if the run failed.
        seconds: seconds of training.
        diverged: whether it failed because its loss was not finite.
        wall_seconds: seconds from its start to its end.
        data_and_model: names of data and model, such as ``digits mlp``.
    """

    metrics: Mapping[str, float] | None
    seconds: float = 0.0
    diverged: bool = False
    wall_seconds: float = 0.0
    data_and_model: str = ""


EndedRuns = Mapping[str, EndedRun]
"""Results of all runs that are over, by identity (`config_hash`)."""


@dataclass
class Trial:
    """One point of an arm's search space.

    Attributes:
        index: index of the trial, from 0.
        values: value of each key.
        jobs: runs of the trial, by rung and then by seed.
        score: mean of the selection metric over the tuning seeds on the last rung; None until these runs are over, and
            if one failed.
        failed: whether one of its runs has no score.
        rung: index of the last rung on which it was started, from 0.
        pruned: whether it was not among the best of that rung.
        seconds: seconds of training, over all its runs that have ended.
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
    """The trials of an arm.

    Attributes:
        arm: the arm.
        trials: in the order of their numbers.
        done: whether all runs of the tuning have ended.
        chosen: the trial with the best score; None until `done`, and if all failed.
    """

    arm: StudyArm
    trials: Sequence[Trial]
    done: bool
    chosen: Trial | None

    @property
    def jobs(self) -> list[Job]:
        """All runs that are known so far."""
        return [job for trial in self.trials for job in trial.jobs]


def tune(study: Study, arm: StudyArm, composer: Composer, results: EndedRuns) -> Tuning:
    """Return the state of an arm's tuning, which does not depend on the time, machine and order of its runs.

    Args:
        study: definition with the budget, the sampler and the selection metric.
        arm: the arm to tune.
        composer: composes configs.
        results: results of all runs that have ended; runs of other arms are ignored.
    """
    trials: list[Trial] = []
    done = True
    count = study.trials if arm.space else 1  # without a search space all trials would be equal
    while len(trials) < count and not (trials and _is_budget_spent(trials, study)):
        trial = Trial(len(trials), _propose(study, arm, trials))
        trials.append(trial)
        done &= _add_rung(trial, study, arm, composer, results, rung=0)
        if study.sequential and not done:
            break
    if study.pruning is not None:
        done = done and _prune(trials, study, arm, composer, results)
    candidates = [trial for trial in trials if trial.score is not None and not trial.pruned]
    best = min(candidates, key=lambda trial: _cost(trial, study), default=None)
    return Tuning(arm, trials, done, best if done else None)


def score(result: EndedRun, study: Study) -> float | None:
    """Return the selection metric of one run; None if it has no finite value."""
    for name in study.select_by:
        value = (result.metrics or {}).get(name)
        if value is not None and math.isfinite(value) and abs(value) < _MAX_SCORE:
            return value
    return None


def _propose(study: Study, arm: StudyArm, trials: Sequence[Trial]) -> Values:
    history = [Observation(trial.values, trial.score) for trial in trials]
    name = f"{arm.task_name} {arm.strategy}"
    sampler = get_sampler(study.sampler)
    return sampler.propose(arm.space, history, seed=study.search_seed, arm=name, minimize=study.minimize)


def _is_budget_spent(trials: Sequence[Trial], study: Study) -> bool:
    """Return whether the seconds of training end the tuning before its number of trials does."""
    return study.max_seconds is not None and sum(trial.seconds for trial in trials) >= study.max_seconds


def _add_rung(trial: Trial, study: Study, arm: StudyArm, composer: Composer, results: EndedRuns, rung: int) -> bool:
    """Add the runs of a rung, with their results, to a trial; return whether all of them have ended."""
    epochs, label = None, f"{arm.strategy} trial {trial.index}"
    if study.pruning is not None:
        epochs = study.pruning.epochs(rung, arm.epochs)
        label += f" rung {rung}"
    jobs = [arm.job(composer, trial.values, seed, label, epochs) for seed in study.tuning_seeds]
    ended = [results[job.config_hash] for job in jobs if job.config_hash in results]
    scores = [score(result, study) for result in ended]
    trial.jobs += jobs
    trial.rung, trial.score = rung, None
    trial.seconds += sum(result.seconds for result in ended)
    trial.failed |= None in scores
    if len(ended) == len(jobs) and not trial.failed:
        trial.score = sum(value for value in scores if value is not None) / len(jobs)
    return len(ended) == len(jobs)


def _prune(trials: Sequence[Trial], study: Study, arm: StudyArm, composer: Composer, results: EndedRuns) -> bool:
    """Promote the best trials of each rung to the next one; return whether all runs have ended."""
    assert study.pruning is not None
    alive = list(trials)
    for rung in range(1, study.pruning.rungs):
        ranked = sorted((trial for trial in alive if trial.score is not None), key=lambda trial: _cost(trial, study))
        promoted = ranked[: study.pruning.promoted(len(alive))]
        for trial in alive:
            trial.pruned = trial not in promoted and not trial.failed
        alive = sorted(promoted, key=lambda trial: trial.index)
        ended = [_add_rung(trial, study, arm, composer, results, rung) for trial in alive]
        if not all(ended):
            return False
    return True


def _cost(trial: Trial, study: Study) -> float:
    """Return the score of a trial with the sign that makes lower values better."""
    assert trial.score is not None
    return trial.score if study.minimize else -trial.score
