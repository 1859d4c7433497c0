"""Findings on the tuning of a study: choices, edges and methods."""

import math

import pytest

from reglab.report.findings.methods import describe_tuning
from reglab.report.findings.tuning import edge_of_range
from reglab.schema.search_space import Choice, Range
from tests.report.runs_by_hand import NONE, UP, accuracies, analyze
from tests.report.study_by_hand import LR, Lab, P, small


def test_a_sweep_has_no_tuning() -> None:
    assert analyze(accuracies({"none": NONE, "l1": UP})).tasks[0].tuning is None


def test_cost_and_choice_of_a_tuning() -> None:
    rows = {row.strategy: row for row in small().tuning().strategies}
    assert list(rows) == ["dropout", "l2", "none"]  # as on the leaderboard
    dropout, l2 = rows["dropout"], rows["l2"]
    assert (dropout.started, dropout.runs, dropout.seconds) == (3, 3, pytest.approx(4.2))
    assert dropout.run_seconds == pytest.approx(1.4)
    assert dropout.chosen is not None
    assert dropout.chosen.values == {"optimizer.lr": 9.9e-3, "regularizer.dropout.p": 0.6}
    assert dropout.validation == pytest.approx(0.77)
    assert dropout.test == pytest.approx(0.74)
    assert dropout.optimism == pytest.approx(0.80 - 0.74)
    assert [l2.count(outcome) for outcome in ("finished", "pruned", "diverged", "failed")] == [1, 0, 1, 1]
    assert l2.optimism == pytest.approx(0.71 - 0.70)


def test_optimism_is_positive_where_validation_looks_better_whichever_way_is_better() -> None:
    lab = Lab({"none": [LR], "dropout": [LR, P]}, definition={"select_by": ["best/val/loss"], "direction": "min"})
    for strategy in ("none", "dropout"):
        lab.tune(strategy, 0, {"optimizer.lr": 1e-3}, [0.5], chosen=True, metric="loss")
        lab.confirm(strategy, [0.55, 0.57], [0.6, 0.7], metric="loss")
    assert [row.optimism for row in lab.tuning("test/loss").strategies] == pytest.approx([0.15, 0.15])


def test_optimism_needs_the_same_quantity() -> None:
    lab = small()
    lab.definition["select_by"] = ["best/val/accuracy"]
    for record in lab.records:
        record.metrics["test/loss"] = 1.0
    assert [row.optimism for row in lab.tuning("test/loss").strategies] == [None, None, None]


def test_caveats_on_edges_and_missing_scores() -> None:
    caveats = small().task().caveats
    (edge,) = [text for text in caveats if "edge of its range" in text]
    assert edge.startswith("dropout: ")
    assert "(lr=0.0099, searched from 0.0001 to 0.01)" in edge
    assert "raise study.space.optimizer.lr.high" in edge
    assert not any("A better baseline" in text for text in caveats)
    lab = Lab({"none": [LR], "l2": [LR]})
    for strategy in ("none", "l2"):
        lab.tune(strategy, 0, {"optimizer.lr": 9.9e-3}, [0.8], chosen=True)
        lab.confirm(strategy, [0.8], [0.7])
    (sentence,) = [text for text in lab.task().caveats if "A better baseline" in text]
    assert sentence.startswith("none: ")
    assert "edge of its range (lr=0.0099" in sentence
    assert any(text.startswith("l2: 2 of 3 trials ") and "(1 diverged, 1 failed)" in text for text in caveats)
    assert not any("Unequal" in text for text in caveats)


def test_an_off_value_is_no_edge() -> None:
    p = Range("p", 0.0, 0.8, off=0.0)
    strength = Range("strength", 1e-6, 0.1, log=True, off=0.0)
    norm = Range("max_norm", 0.5, 4.0, log=True, off=math.inf)
    assert [edge_of_range(p, v) for v in (0.0, 0.03, 0.4, 0.77)] == [None, None, None, "high"]
    assert [edge_of_range(strength, v) for v in (0.0, 1.5e-6, 1e-3, 0.09)] == [None, "low", None, "high"]
    assert [edge_of_range(norm, v) for v in (math.inf, 0.51, 3.9)] == [None, "low", "high"]
    assert edge_of_range(Choice("k", (1, 2)), 1) is None


def test_methods_of_the_tuning() -> None:
    sentence = " ".join(describe_tuning(small().study))
    for part in (
        "Tuning: 4 trials for each strategy and task, with 1 run for each trial (seeds: 1000). "
        "The trial with the best mean best/val/accuracy was chosen (the first of ties) and run on 2 fresh seeds (0",
        "Search: quasi-random (search seed 0).",
        "Search space: lr 0.0001 to 0.01 (log); dropout.p 0 to 0.8 (off at 0)",
        "A strength is off in 1/8 of the trials",
        "The learning rate is searched for every strategy.",
    ):
        assert part in sentence
    lab = small()
    lab.space = {**lab.space, "none": []}
    lab.definition = {"sampler": "tpe", "max_seconds": 60, "pruning": {"eta": 3, "rungs": 2}}
    sentence = " ".join(describe_tuning(lab.study))
    for part in (
        "or 60 s of training if that is reached first",
        "tree-structured Parzen estimators (search seed 0)",
        "The learning rate is not searched for every strategy",
        "successive halving over 2 rungs; each rung keeps one trial in 3 and trains it 3 times as long",
    ):
        assert part in sentence
