"""The progress of a study, a pure function of its definition and of tracked results; queries of these results."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reglab.config.compose import Composer
from reglab.config.identity import data_name, setting_hash, strategy, strategy_code
from reglab.execution.attempt import Outcome
from reglab.execution.expand import Job, Plan
from reglab.schema.search_space import value_to_json
from reglab.study.arms import StudyArm
from reglab.study.definition import Study
from reglab.study.tuning import EndedRun, EndedRuns, Trial, Tuning, tune

if TYPE_CHECKING:
    from reglab.tracking.queries import Record
    from reglab.tracking.store import Store

PHASES = ("tune", "confirm")
_KEYS_OF_RUNGS: Mapping[str, tuple[str, ...]] = {"tune": ("trainer.max_epochs",), "confirm": ()}


@dataclass(frozen=True)
class ArmProgress:
    """An arm with its tuning and the confirmation runs of the chosen trial (none until the tuning is done)."""

    arm: StudyArm
    tuning: Tuning
    confirmation: Sequence[Job]

    @property
    def jobs(self) -> list[Job]:
        """All runs that are known so far."""
        return [*self.tuning.jobs, *self.confirmation]

    def jobs_of(self, phase: str) -> Sequence[Job]:
        """Return the known runs of a phase (``tune`` or ``confirm``)."""
        return self.tuning.jobs if phase == "tune" else self.confirmation

    def expected(self, study: Study) -> dict[str, int]:
        """Return the number of runs of each phase if no trial fails and no arm exceeds its budget of seconds."""
        alive = trials = study.trials if self.arm.space else 1
        if study.pruning is not None:
            for _ in range(1, study.pruning.rungs):
                alive = study.pruning.promoted(alive)
                trials += alive
        return {"tune": trials * len(study.tuning_seeds), "confirm": len(study.seeds)}


@dataclass(frozen=True)
class Progress:
    """All arms of a study with the results so far, and the runs that are still to be trained."""

    study: Study
    arms: Sequence[ArmProgress]
    results: EndedRuns

    def missing(self, phase: str) -> list[Job]:
        """Return the known runs of a phase that have not ended, each identity once."""
        known = {job.config_hash: job for arm_progress in self.arms for job in arm_progress.jobs_of(phase)}
        return [job for identity, job in known.items() if identity not in self.results]

    @property
    def jobs(self) -> list[Job]:
        """All runs that are known so far, each identity once."""
        return list({job.config_hash: job for arm_progress in self.arms for job in arm_progress.jobs}.values())

    @property
    def expected(self) -> int:
        """Expected number of runs of the study."""
        return sum(sum(arm_progress.expected(self.study).values()) for arm_progress in self.arms)

    @property
    def tuned_keys(self) -> tuple[str, ...]:
        """Keys that tuning sets, other than strengths."""
        keys = [
            dimension.key
            for arm_progress in self.arms
            for dimension in arm_progress.arm.space
            if not dimension.key.startswith("regularizer.")
        ]
        return tuple(dict.fromkeys(keys))

    def declared(self) -> list[dict[str, Any]]:
        """Return all runs as the parent run stores them, for reports and the status.

        Runs that depend on the end of a tuning have no identity yet.
        """
        known = [
            {
                "config_hash": job.config_hash,
                "setting": setting_hash(job.config, (*self.tuned_keys, *_KEYS_OF_RUNGS[phase])),
                "strategy": strategy(job.config),
                "strategy_code": strategy_code(job.config),
                "data": data_name(job.config),
                "task": arm_progress.arm.task_name,
                "seed": str(job.config.seed),
                "label": job.label,
                "phase": phase,
                **_trial_fields(arm_progress, phase, job),
            }
            for arm_progress in self.arms
            for phase in PHASES
            for job in arm_progress.jobs_of(phase)
        ]
        unknown = [
            {
                "config_hash": None,
                "strategy": arm_progress.arm.strategy,
                "task": arm_progress.arm.task_name,
                "phase": phase,
            }
            for arm_progress in self.arms
            if not arm_progress.tuning.done
            for phase, count in arm_progress.expected(self.study).items()
            for _ in range(count - len(arm_progress.jobs_of(phase)))
        ]
        return [*known, *unknown]


@dataclass(frozen=True)
class Round(Plan):
    """Runs of a study that can be trained at the same time: all known runs of a phase.

    Attributes:
        phase: ``tune`` or ``confirm``.
        tuned_keys: keys that tuning sets, other than strengths.
    """

    phase: str = "tune"
    tuned_keys: Sequence[str] = ()

    def child_settings(self, parent: str) -> dict[str, Any]:
        """Return settings that the study gives each run."""
        return {
            "tracking.parent": parent,
            "tracking.phase": self.phase,
            "tracking.study": self.name,
            "tracking.tuned": ",".join(self.tuned_keys),
            **self.common_settings(),
        }


def study_progress(study: Study, arms: Sequence[StudyArm], composer: Composer, results: EndedRuns) -> Progress:
    """Return the progress of a study.

    Args:
        study: the definition.
        arms: arms of the study.
        composer: composes configs.
        results: results of all runs that have ended, by identity.
    """
    progress = []
    for arm in arms:
        tuning = tune(study, arm, composer, results)
        confirmation = []
        if tuning.chosen is not None:
            values = tuning.chosen.values
            confirmation = [arm.job(composer, values, seed, f"{arm.strategy} confirmed") for seed in study.seeds]
        progress.append(ArmProgress(arm, tuning, confirmation))
    return Progress(study, progress, results)


def _trial_of(job: Job, tuning: Tuning) -> Trial:
    return next(trial for trial in tuning.trials if job in trial.jobs)


def _trial_fields(arm_progress: ArmProgress, phase: str, job: Job) -> dict[str, Any]:
    """Return the trial of a run, its rung, and the outcome of the trial."""
    chosen = arm_progress.tuning.chosen
    trial = chosen if phase == "confirm" else _trial_of(job, arm_progress.tuning)
    assert trial is not None
    rung = trial.jobs.index(job) // len({j.config.seed for j in trial.jobs}) if phase == "tune" else trial.rung
    values = {key: value_to_json(value) for key, value in trial.values.items()}
    return {"trial": trial.index, "values": values, "rung": rung, "chosen": trial is chosen, "pruned": trial.pruned}


def tracked_results(store: "Store") -> dict[str, EndedRun]:
    """Return the results of the experiment's runs by identity: FINISHED ones, and diverged ones, which are not retried.

    The newest run of an identity counts, and a FINISHED one before a diverged one.
    """
    from reglab.tracking import queries

    diverged = queries.runs(store, status="FAILED", tags={"diverged": "true"})
    finished = queries.runs(store, status="FINISHED")
    return {
        record.tags["config_hash"]: _result(record)
        for record in (*diverged, *finished)
        if "config_hash" in record.tags and "rerun_of" not in record.tags
    }


def results_of_outcomes(store: "Store", outcomes: Iterable[Outcome], metric: str) -> dict[str, EndedRun]:
    """Return the results of runs that were just trained, by identity.

    Args:
        store: read for runs whose outcome has no finite value of the metric.
        outcomes: outcomes of the runs.
        metric: required in the result.
    """
    from reglab.tracking import queries

    results = {}
    for outcome in outcomes:
        if not outcome.error and math.isfinite(outcome.metrics.get(metric, math.nan)):
            seconds = outcome.metrics.get("time/train_s", 0.0)
            results[outcome.config_hash] = EndedRun(outcome.metrics, seconds, wall_seconds=outcome.seconds)
        elif outcome.run_id is not None:
            results[outcome.config_hash] = _result(queries.run(store, outcome.run_id))
        else:
            results[outcome.config_hash] = EndedRun(None)
    return results


def _result(record: "Record") -> EndedRun:
    wall = max(0.0, (record.ended or record.started) - record.started)
    data_and_model = f"{record.tags.get('data')} {record.tags.get('model')}"
    if record.status == "FINISHED":
        seconds = record.metrics.get("time/train_s", 0.0)
        return EndedRun(record.metrics, seconds, wall_seconds=wall, data_and_model=data_and_model)
    diverged = record.tags.get("diverged") == "true"
    return EndedRun(None, wall, diverged=diverged, wall_seconds=wall, data_and_model=data_and_model)
