"""How far a study has come: a pure function of its definition and of what is tracked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reglab.config.compose import Composer
from reglab.config.identity import data_name, setting_hash, strategy, strategy_code
from reglab.execution.expand import Job
from reglab.study.cells import Cell
from reglab.study.definition import Study
from reglab.study.tuning import Results, Tuning, tuning

PHASES = ("tune", "confirm")


@dataclass(frozen=True)
class CellProgress:
    """One cell: its tuning, and the confirmation runs that follow from it (none before tuning is done)."""

    cell: Cell
    tuning: Tuning
    confirmation: Sequence[Job]

    @property
    def jobs(self) -> list[Job]:
        """All runs that are known so far."""
        return [*self.tuning.jobs, *self.confirmation]

    def expected(self, study: Study) -> dict[str, int]:
        """Expected number of runs of each phase, if no trial fails and no budget of seconds ends it."""
        kept = runs = study.trials if self.cell.space else 1
        for _ in range(1, study.pruning.rungs if study.pruning is not None else 1):
            assert study.pruning is not None
            kept = max(1, -(-kept // study.pruning.eta))
            runs += kept
        return {"tune": runs * len(study.tuning_seeds), "confirm": len(study.seeds)}


@dataclass(frozen=True)
class Progress:
    """All cells, and which of their runs are still to be done."""

    study: Study
    cells: Sequence[CellProgress]
    results: Results

    def missing(self, phase: str) -> list[Job]:
        """Runs of a phase (``tune`` or ``confirm``) that are known and not over, each identity once."""
        known = {job.config_hash: job for cell in self.cells for job in _jobs(cell, phase)}
        return [job for identity, job in known.items() if identity not in self.results]

    @property
    def jobs(self) -> list[Job]:
        """All runs that are known so far, each identity once."""
        every = [job for cell in self.cells for job in cell.jobs]
        return list({job.config_hash: job for job in every}.values())

    @property
    def expected(self) -> int:
        """Expected number of runs of the study."""
        return sum(sum(cell.expected(self.study).values()) for cell in self.cells)

    @property
    def tuned(self) -> tuple[str, ...]:
        """Keys that tuning sets, beside strengths."""
        keys = [one.key for cell in self.cells for one in cell.cell.space if not one.key.startswith("regularizer.")]
        return tuple(dict.fromkeys(keys))

    def declared(self) -> list[dict[str, Any]]:
        """All runs as the parent keeps them: what a report and a status are made of.

        Those that wait for the end of a tuning have no identity yet.
        """
        known = [
            {
                "config_hash": job.config_hash,
                "setting": setting_hash(job.config, (*self.tuned, *_RUNGS[phase])),
                "strategy": strategy(job.config),
                "strategy_code": strategy_code(job.config),
                "data": data_name(job.config),
                "task": cell.cell.about,
                "seed": str(job.config.seed),
                "label": job.label,
                "phase": phase,
                **_of_trial(cell, phase, job),
            }
            for cell in self.cells
            for phase in PHASES
            for job in _jobs(cell, phase)
        ]
        waiting = [
            {"config_hash": None, "strategy": cell.cell.strategy, "task": cell.cell.about, "phase": phase}
            for cell in self.cells
            for phase, count in cell.expected(self.study).items()
            for _ in range(count - len(_jobs(cell, phase)))
            if not cell.tuning.done
        ]
        return [*known, *waiting]


_RUNGS: Mapping[str, tuple[str, ...]] = {"tune": ("trainer.max_epochs",), "confirm": ()}  # set rung by rung


def progress(study: Study, cells: Sequence[Cell], composer: Composer, results: Results) -> Progress:
    """Return the progress of a study.

    Args:
        study: what is declared.
        cells: of the study.
        composer: makes configs.
        results: of all runs that are over, by identity.
    """
    found = []
    for cell in cells:
        tuned = tuning(study, cell, composer, results)
        confirmed = []
        if tuned.chosen is not None:
            values = tuned.chosen.values
            confirmed = [cell.job(composer, values, seed, f"{cell.strategy} confirmed") for seed in study.seeds]
        found.append(CellProgress(cell, tuned, confirmed))
    return Progress(study, found, results)


def _of_trial(cell: CellProgress, phase: str, job: Job) -> dict[str, Any]:
    """Return the trial of a run, with its last rung and state."""
    chosen = cell.tuning.chosen
    trial = chosen if phase == "confirm" else next(t for t in cell.tuning.trials if job in t.jobs)
    assert trial is not None
    rung = trial.jobs.index(job) // len({j.config.seed for j in trial.jobs}) if phase == "tune" else trial.rung
    values = {key: value if value not in (math.inf, -math.inf) else str(value) for key, value in trial.values.items()}
    return {"trial": trial.index, "values": values, "rung": rung, "chosen": trial is chosen, "pruned": trial.pruned}


def _jobs(cell: CellProgress, phase: str) -> Sequence[Job]:
    return cell.tuning.jobs if phase == "tune" else cell.confirmation
