"""Test studies: their definitions, and records of their runs without a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from reglab.report.findings.findings import TaskFindings, compute_findings
from reglab.report.findings.tuning import TaskTuning
from reglab.report.question import resolve_question
from reglab.report.trials import StudyRecord, parse_study_record
from tests.report.runs_by_hand import Rec, rec

LR = {"key": "optimizer.lr", "low": 1e-4, "high": 1e-2, "log": True, "whole": False, "step": None, "off": None}
P = {"key": "regularizer.dropout.p", "low": 0.0, "high": 0.8, "log": False, "whole": False, "step": None, "off": 0.0}
L2 = {"key": "regularizer.l2.strength", "low": 1e-6, "high": 0.1, "log": True, "whole": False, "step": None, "off": 0.0}
NORM = {"key": "regularizer.max_norm.max_norm", "low": 0.5, "high": 4.0, "log": True, "whole": False, "step": None,
        "off": "inf"}  # fmt: skip
ABOUT = "digits mlp"


@dataclass
class Lab:
    """Study to which runs are added: `seeds` of the tuning, `task_name` and `data` of the next runs."""

    space: Mapping[str, Sequence[Mapping[str, Any]]]
    seeds: Sequence[int] = (1000,)
    definition: dict[str, Any] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    records: list[Rec] = field(default_factory=list)
    task_name: str = ABOUT
    data: str = "digits"
    took: dict[str, float] = field(default_factory=dict)

    def tune(
        self,
        strategy: str,
        trial: int,
        values: Mapping[str, Any],
        scores: Sequence[float | str | None],
        *,
        seconds: float = 1.0,
        rung: int = 0,
        pruned: bool = False,
        chosen: bool = False,
        metric: str = "accuracy",
    ) -> None:
        """Add the runs of a trial, one per score: a text is an outcome (`diverged`, FAILED), None adds no run."""
        if chosen:
            self.took[strategy] = seconds
        for seed, score in zip(self.seeds, scores, strict=True):
            job = self._job("tune", strategy, seed, trial=trial, values=values, rung=rung, pruned=pruned, chosen=chosen)
            if score is None:
                continue
            if isinstance(score, str):
                more = {"diverged": "true"} if score == "diverged" else {}
                made = rec(
                    strategy, seed, status="FAILED" if more else score, started=10.0, phase="tune", **job, **more
                )
                self.records.append(replace(made, ended=10.0 + seconds))
            else:
                logged = {f"best/val/{metric}": score, f"test/{metric}": score - 0.02, "time/train_s": seconds}
                self.records.append(rec(strategy, seed, logged, phase="tune", **job))

    def confirm(
        self,
        strategy: str,
        validation: Sequence[float],
        test: Sequence[float],
        metric: str = "accuracy",
        *,
        seconds: float | None = None,
    ) -> None:
        """Add runs on new seeds from 0, with the duration of the chosen trial by default."""
        took = self.took.get(strategy, 1.0) if seconds is None else seconds
        for seed, (val, judged) in enumerate(zip(validation, test, strict=True)):
            job = self._job("confirm", strategy, seed, trial=0, values={}, rung=0, pruned=False, chosen=True)
            logged = {f"best/val/{metric}": val, f"test/{metric}": judged, "time/train_s": took}
            self.records.append(rec(strategy, seed, logged, phase="confirm", setting="s", **job))

    @property
    def study(self) -> StudyRecord:
        """Return the study as recorded by its parent run."""
        logged = {
            "space": {name: {one["key"]: one for one in space} for name, space in self.space.items()},
            "select_by": ["best/val/accuracy", "val/accuracy"],
            "direction": "max",
            "trials": 4,
            "max_seconds": None,
            "tuning_seeds": list(self.seeds),
            "sampler": "quasi_random",
            "search_seed": 0,
            "pruning": None,
            "baseline": "none",
        }
        return parse_study_record({**logged, **self.definition}, self.jobs)

    def task(self, metric: str = "test/accuracy") -> TaskFindings:
        """Return the findings on its only task."""
        (found,) = compute_findings(self.records, resolve_question(self.records, metric=metric), study=self.study).tasks
        return found

    def tuning(self, metric: str = "test/accuracy") -> TaskTuning:
        """Return the findings on the tuning of its only task."""
        logged = self.task(metric).tuning
        assert logged is not None
        return logged

    def _job(self, phase: str, strategy: str, seed: int, **logged: Any) -> dict[str, str]:
        identity = f"hash{len(self.jobs)}"
        setting = "s" if phase == "confirm" else "t"
        job = {"config_hash": identity, "setting": setting, "strategy": strategy}
        job |= {"data": self.data, "task": self.task_name}
        self.jobs.append({**job, "seed": str(seed), "phase": phase, **logged})
        return {"config_hash": identity, "data": self.data}


def small() -> Lab:
    """Return a study of `none`, `dropout` and `l2`, with three trials each and two seeds of the comparison."""
    lab = Lab({"none": [LR], "dropout": [LR, P], "l2": [LR, L2]})
    rates = (1e-3, 2e-4, 9.9e-3)
    for i, (rate, score) in enumerate(zip(rates, (0.70, 0.65, 0.60), strict=True)):
        lab.tune("none", i, {"optimizer.lr": rate}, [score], seconds=1.0, chosen=i == 0)
    for i, (rate, p, score) in enumerate(zip(rates, (0.4, 0.0, 0.6), (0.72, 0.66, 0.80), strict=True)):
        values = {"optimizer.lr": rate, "regularizer.dropout.p": p}
        lab.tune("dropout", i, values, [score], seconds=1.4, chosen=i == 2)
    for i, (rate, strength) in enumerate(zip(rates, (1e-3, 1e-4, 0.0), strict=True)):
        values = {"optimizer.lr": rate, "regularizer.l2.strength": strength}
        lab.tune("l2", i, values, [("diverged", 0.71, "FAILED")[i]], seconds=2.0, chosen=i == 1)
    lab.confirm("none", [0.69, 0.71], [0.66, 0.68])
    lab.confirm("dropout", [0.78, 0.76], [0.75, 0.73])
    lab.confirm("l2", [0.70, 0.70], [0.69, 0.71])
    return lab
