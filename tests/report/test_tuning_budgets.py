"""Tuning budgets in trials and in seconds, against values computed by hand."""

import re

import pytest

from reglab.report.findings.tuning import equal_compute, unequal_budgets
from tests.report.study_by_hand import LR, Lab, P, small


def test_unequal_budgets_are_reported() -> None:
    lab = Lab({"none": [LR], "dropout": [LR, P], "fixed": []}, definition={"max_seconds": 4})
    for i in range(4):
        lab.tune("none", i, {"optimizer.lr": 1e-3}, [0.5 + i / 10], seconds=1.0, chosen=i == 3)
    for i in range(2):
        lab.tune("dropout", i, {"optimizer.lr": 1e-3}, [0.5 + i / 10], seconds=2.5, chosen=i == 1)
    lab.tune("fixed", 0, {}, [0.6], chosen=True)
    for strategy in ("none", "dropout", "fixed"):
        lab.confirm(strategy, [0.5, 0.6], [0.5, 0.6])
    (caveat,) = [text for text in lab.task().caveats if "Unequal" in text]
    assert "(dropout 2, none 4)" in caveat
    assert "study.max_seconds=4" in caveat
    assert caveat.endswith(" dropout.")
    assert unequal_budgets(small().tuning().strategies, small().study) == []


def test_equal_compute_by_hand() -> None:
    tuning = small().tuning()
    assert tuning.equal_compute is not None
    seconds, rows = tuning.equal_compute
    assert seconds == pytest.approx(3.0)  # of none
    assert [(row.strategy, row.count, row.total_trials, row.best and row.best.number, row.differs) for row in rows] == [
        ("dropout", 2, 3, 0, True),  # 1.4 + 1.4, without the third and best
        ("l2", 1, 3, None, True),  # the first diverged
        ("none", 3, 3, 0, False),
    ]


def test_equal_compute_tolerates_noisy_timings() -> None:
    lab = Lab({"none": [LR], "dropout": [LR, P]})
    for i in range(2):
        lab.tune("none", i, {}, [0.5 + i / 10], seconds=1.0)
        lab.tune("dropout", i, {}, [0.5 + i / 10], seconds=1.04)
    lab.confirm("none", [0.5], [0.5])
    lab.confirm("dropout", [0.5], [0.5])
    trials = {row.strategy: row.trials for row in lab.tuning().strategies}
    _, rows = equal_compute(trials, minimized=False)
    assert [(row.count, row.differs) for row in rows] == [(2, False), (2, False)]


@pytest.mark.parametrize("definition", [{"sampler": "tpe"}, {"pruning": {"eta": 2, "rungs": 2}}])
def test_no_equal_compute_without_exchangeable_trials(definition: dict[str, object]) -> None:
    lab = small()
    lab.definition = definition
    assert lab.tuning().equal_compute is None


def test_unequal_slowdowns_disable_equal_compute() -> None:
    def lab(fresh: float) -> Lab:
        study = Lab({"none": [LR], "dropout": [LR, P]})
        study.tune("none", 0, {"optimizer.lr": 1e-3}, [0.8], chosen=True, seconds=4.0)
        study.tune("dropout", 0, {"optimizer.lr": 1e-3}, [0.8], chosen=True, seconds=2.0)
        study.confirm("none", [0.8, 0.8], [0.7, 0.7], seconds=4.0)
        study.confirm("dropout", [0.8, 0.8], [0.7, 0.7], seconds=fresh)
        return study

    (caveat,) = [text for text in lab(4.1).task().caveats if "other processes slowed" in text]
    assert re.findall(r"(\w+) (\d\.\d+) s in tuning and (\d\.\d+)", caveat) == [
        ("none", "4.00", "4.00"),
        ("dropout", "2.00", "4.10"),
    ]
    assert lab(4.1).tuning().equal_compute is None
    assert not [text for text in lab(3.9).task().caveats if "other processes slowed" in text]
    assert lab(3.9).tuning().equal_compute is not None


def test_a_stalled_trial_disables_equal_compute() -> None:
    def lab(longest: float) -> Lab:
        study = Lab({"none": [LR], "dropout": [LR, P]})
        for strategy in ("none", "dropout"):
            for i in range(4):
                held = longest if (strategy, i) == ("dropout", 2) else 2.0
                study.tune(strategy, i, {"optimizer.lr": 1e-3}, [0.8 - i / 10], chosen=i == 0, seconds=held)
            study.confirm(strategy, [0.8, 0.8], [0.7, 0.7], seconds=2.0)
        return study

    (caveat,) = [text for text in lab(41.0).task().caveats if "single trials" in text]
    assert "(dropout 41.0 s, median 2.00 s)" in caveat
    assert lab(41.0).tuning().equal_compute is None
    assert not [text for text in lab(39.0).task().caveats if "single trials" in text]
    assert lab(39.0).tuning().equal_compute is not None
