"""What a report says of a study's tuning: choices, edges and rules, by hand."""

import math

import pytest

from reglab.report.tuning import at_edge, rules
from reglab.schema.search_space import Choice, Range
from tests.report.lab import NONE, UP, accuracies, found
from tests.report.tuned import LR, Lab, P, small


def test_a_sweep_has_no_tuning() -> None:
    assert found(accuracies({"none": NONE, "l1": UP})).tasks[0].tuning is None


def test_what_tuning_took_and_chose() -> None:
    rows = {row.strategy: row for row in small().tuning().budgets}
    assert list(rows) == ["dropout", "l2", "none"]  # as on the leaderboard
    dropout, l2 = rows["dropout"], rows["l2"]
    assert (dropout.tried, dropout.runs, dropout.seconds) == (3, 3, pytest.approx(4.2))
    assert dropout.run_seconds == pytest.approx(1.4)
    assert dropout.chosen is not None
    assert dropout.chosen.values == {"optimizer.lr": 9.9e-3, "regularizer.dropout.p": 0.6}
    assert dropout.validation == pytest.approx(0.77)
    assert dropout.test == pytest.approx(0.74)
    assert dropout.optimism == pytest.approx(0.80 - 0.74)
    assert [l2.count(what) for what in ("finished", "pruned", "diverged", "failed")] == [1, 0, 1, 1]
    assert l2.optimism == pytest.approx(0.71 - 0.70)


def test_optimism_is_positive_where_validation_looks_better_whichever_way_is_better() -> None:
    lab = Lab({"none": [LR], "dropout": [LR, P]}, definition={"select_by": ["best/val/loss"], "direction": "min"})
    for strategy in ("none", "dropout"):
        lab.tune(strategy, 0, {"optimizer.lr": 1e-3}, [0.5], chosen=True, metric="loss")
        lab.confirm(strategy, [0.55, 0.57], [0.6, 0.7], metric="loss")
    assert [row.optimism for row in lab.tuning("test/loss").budgets] == pytest.approx([0.15, 0.15])


def test_optimism_is_not_told_of_unlike_quantities() -> None:
    lab = small()
    lab.definition["select_by"] = ["best/val/accuracy"]
    for record in lab.records:
        record.metrics["test/loss"] = 1.0
    assert [row.optimism for row in lab.tuning("test/loss").budgets] == [None, None, None]


def test_the_edge_and_what_gave_no_score_weaken() -> None:
    weak = small().task().weaknesses
    assert (
        "dropout: the best lies on the edge of the range (lr=0.0099, searched from 0.0001 to 0.01): "
        "raise study.space.optimizer.lr.high."
    ) in weak
    assert not any("It is the baseline" in text for text in weak)
    lab = Lab({"none": [LR], "l2": [LR]})
    for strategy in ("none", "l2"):
        lab.tune(strategy, 0, {"optimizer.lr": 9.9e-3}, [0.8], chosen=True)
        lab.confirm(strategy, [0.8], [0.7])
    (told,) = [text for text in lab.task().weaknesses if "It is the baseline" in text]
    assert told.startswith("none: the best lies on the edge of the range (lr=0.0099")
    assert told.endswith("were it better beyond, every difference would be smaller.")
    assert "l2: 2 of its 3 trials gave no score (1 diverged, 1 failed)." in weak
    assert not any("Equal budgets" in text for text in weak)


def test_an_edge_that_is_off_or_the_off_value_is_none() -> None:
    p = Range("p", 0.0, 0.8, off=0.0)
    strength = Range("strength", 1e-6, 0.1, log=True, off=0.0)
    norm = Range("max_norm", 0.5, 4.0, log=True, off=math.inf)
    assert [at_edge(p, v) for v in (0.0, 0.03, 0.4, 0.77)] == [None, None, None, "high"]
    assert [at_edge(strength, v) for v in (0.0, 1.5e-6, 1e-3, 0.09)] == [None, "low", None, "high"]
    assert [at_edge(norm, v) for v in (math.inf, 0.51, 3.9)] == [None, "low", "high"]
    assert at_edge(Choice("k", (1, 2)), 1) is None


def test_how_it_was_done() -> None:
    told = " ".join(rules(small().study))
    for part in (
        "Tuning: 4 trials of each strategy on each task; 1 run of each trial (seed 1000). "
        "The best mean best/val/accuracy chose, of equals the first; the chosen trial was then run on 2 fresh seeds (0",
        "Search: quasi-random (search seed 0).",
        "Searched: lr 0.0001 to 0.01 (log); dropout.p 0 to 0.8 (off at 0)",
        "A strength is off in 1/8 of those points",
        "The learning rate is searched for every strategy.",
    ):
        assert part in told
    lab = small()
    lab.space = {**lab.space, "none": []}
    lab.definition = {"sampler": "tpe", "max_seconds": 60, "pruning": {"eta": 3, "rungs": 2}}
    told = " ".join(rules(lab.study))
    for part in (
        "or 60 s of training if that is reached before",
        "tree-structured Parzen estimators (search seed 0)",
        "The learning rate is not searched for every strategy",
        "successive halving over 2 rungs; each keeps one trial in 3 and trains 3 times as long",
    ):
        assert part in told
