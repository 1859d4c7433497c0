"""Scores, durations and outcomes of trials."""

import csv
import io
import json
import math

import pytest

from reglab.report.render.csv_files import tuning_csv
from reglab.report.trials import TrialSummary, best_trial, collect_trials
from reglab.schema.search_space import Range
from tests.report.runs_by_hand import rec
from tests.report.study_by_hand import ABOUT, LR, NORM, Lab, small


def rows(lab: Lab) -> dict[tuple[str, int], TrialSummary]:
    return {(t.strategy, t.number): t for t in collect_trials(lab.study, lab.records, "test/accuracy")}


def test_a_score_is_the_mean_over_tuning_seeds() -> None:
    lab = Lab({"none": [LR]}, seeds=(1000, 1001))
    lab.tune("none", 0, {"optimizer.lr": 1e-3}, [0.5, 0.7], seconds=1.5, chosen=True)
    (trial,) = rows(lab).values()
    assert (trial.task, trial.status, trial.seeds, trial.runs, trial.chosen) == (ABOUT, "finished", 2, 2, True)
    assert trial.score == pytest.approx(0.6)
    assert trial.test == pytest.approx(0.58)
    assert trial.seconds == pytest.approx(3.0)
    assert dict(trial.values) == {"optimizer.lr": 1e-3}


def test_outcomes_of_trials() -> None:
    lab = Lab({"none": [LR]}, seeds=(1000, 1001))
    for i, scores in enumerate(([0.5, "diverged"], [0.5, "FAILED"], [0.5, None], [None, None], [math.nan, 0.5])):
        lab.tune("none", i, {"optimizer.lr": 1e-3}, scores, seconds=2.0)
    trials = rows(lab)
    row = [(t.status, t.score, t.seeds, t.runs, t.seconds, [f.outcome for f in t.failures]) for t in trials.values()]
    assert row == [
        ("diverged", None, 1, 2, 4.0, ["diverged"]),  # diverged runs have no training time: end minus start
        ("failed", None, 1, 2, 4.0, ["failed"]),
        ("not done", None, 1, 1, 2.0, []),
        ("not done", None, 0, 0, 0.0, []),
        ("failed", None, 1, 2, 4.0, ["finished without a finite best/val/accuracy"]),
    ]


def test_the_last_rung_gives_the_score_and_all_rungs_cost() -> None:
    lab = Lab({"none": [LR]}, definition={"pruning": {"eta": 2, "rungs": 2}})
    lab.tune("none", 0, {}, [0.5], seconds=1.0, chosen=True)
    lab.tune("none", 0, {}, [0.8], seconds=2.0, rung=1, chosen=True)
    lab.tune("none", 1, {}, [0.9], seconds=1.0, pruned=True)
    trials = rows(lab)
    assert (trials["none", 0].rung, trials["none", 0].score, trials["none", 0].seconds) == (1, 0.8, 3.0)
    assert (trials["none", 1].status, trials["none", 1].score) == ("pruned", 0.9)
    chosen = best_trial(trials.values(), minimized=False)
    assert chosen is not None
    assert chosen.number == 0  # a pruned trial ranks lower, whatever its score on its last rung


def test_the_newest_finished_run_of_an_identity_counts() -> None:
    lab = Lab({"none": [LR]})
    lab.tune("none", 0, {}, [0.5])
    row = {"phase": "tune", "config_hash": "hash0"}
    lab.records += [
        rec("none", 1000, {"best/val/accuracy": 0.6}, started=5.0, **row),
        rec("none", 1000, status="FAILED", started=9.0, **row),
        rec("none", 1000, {"best/val/accuracy": 0.9}, started=7.0, rerun_of="x", **row),
    ]
    assert rows(lab)["none", 0].score == 0.6


def test_the_best_is_the_first_of_equals_in_the_metrics_own_direction() -> None:
    trials = list(rows(small()).values())
    top, bottom = best_trial(trials, minimized=False), best_trial(trials, minimized=True)
    assert top is not None
    assert bottom is not None
    assert (top.strategy, top.number) == ("dropout", 2)
    assert (bottom.strategy, bottom.number) == ("none", 2)
    assert best_trial([], minimized=True) is None


def test_infinity_is_kept_in_json() -> None:
    lab = Lab({"max_norm": [NORM]})
    lab.tune("max_norm", 0, {"regularizer.max_norm.max_norm": "inf"}, [0.5])
    (trial,) = rows(lab).values()
    assert trial.values["regularizer.max_norm.max_norm"] == math.inf
    spec = lab.study.space["max_norm"][0]
    assert isinstance(spec, Range)
    assert spec.off == math.inf
    (row,) = csv.DictReader(io.StringIO(tuning_csv([trial])))
    assert json.loads(row["values"]) == {"regularizer.max_norm.max_norm": "inf"}


def test_the_table_of_trials_as_csv() -> None:
    table = csv.reader(io.StringIO(tuning_csv(rows(small()).values())))
    columns = ["task", "strategy", "trial", "rung", "values", "score", "seeds", "seconds", "status", "chosen"]
    assert next(table) == columns
    trials = list(table)
    assert len(trials) == 9
    values = {"optimizer.lr": 0.001}
    assert trials[0] == ["digits mlp", "none", "0", "0", json.dumps(values), "0.7", "1", "1", "finished", "true"]
    values["regularizer.l2.strength"] = 0.001
    assert trials[6] == ["digits mlp", "l2", "0", "0", json.dumps(values), "", "0", "2", "diverged", "false"]
