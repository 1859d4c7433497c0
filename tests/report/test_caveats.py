"""Caveats on the comparison within one task."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from reglab.report.arms import ArmTable, Selection, group_runs, select_arms
from reglab.report.findings.caveats import comparison_caveats, early_stopping_artifacts
from reglab.report.findings.leaderboard import task_leaderboard
from reglab.report.findings.verdicts import Verdict
from reglab.report.question import Question
from tests.report.runs_by_hand import NONE, UP, Rec, accuracies, rec

QUESTION = Question("test/accuracy", "max", "none", ("val/accuracy",), "max")


def caveats(records: Sequence[Rec], selection: Selection | None = None) -> list[str]:
    table = group_runs(records)
    selection = selection or select_arms(table, QUESTION)
    return comparison_caveats(task_leaderboard(table, selection, QUESTION, 0.0), table, selection, QUESTION)


def with_tags(records: Sequence[Rec], strategy: str, **extra_tags: str) -> list[Rec]:
    return [replace(r, tags={**r.tags, **extra_tags}) if r.tags["strategy"] == strategy else r for r in records]


def test_plain_runs_have_no_caveat() -> None:
    assert caveats(accuracies({"none": NONE, "l2": UP})) == []


@pytest.mark.parametrize(
    ("tag", "meaning"),
    [
        ("double_counting", "applied twice"),
        ("no_effect", "are off"),
        ("not_averaged", "not averaged"),
        ("remark", "a caveat on its methods"),
    ],
)
def test_a_tag_of_runs_is_a_caveat_with_its_strategy(tag: str, meaning: str) -> None:
    (caveat,) = caveats(with_tags(accuracies({"none": NONE, "l2": UP}), "l2", **{tag: "some text"}))
    assert caveat.startswith("l2: ")
    assert meaning in caveat
    assert "(some text)" in caveat


def test_a_caveat_on_the_data_has_no_strategy() -> None:
    records = with_tags(accuracies({"none": NONE, "l2": UP}), "l2", data_remark="3 rows repeat")
    assert caveats(records) == ["Data: 3 rows repeat."]


def test_runs_of_several_commits() -> None:
    records = with_tags(accuracies({"none": NONE, "l2": UP}, git_commit="a" * 40), "l2", git_commit="b" * 40)
    (caveat,) = caveats(records)
    assert "2 versions " in caveat
    assert "(aaaaaaaaaa, bbbbbbbbbb)" in caveat


def test_values_that_equal_the_baseline_on_three_seeds_or_more() -> None:
    (caveat,) = caveats(accuracies({"none": NONE[:3], "l2": NONE[:3]}))
    assert caveat.startswith("l2: test/accuracy equals that of none")
    assert caveats(accuracies({"none": NONE[:2], "l2": NONE[:2]})) == []
    off = with_tags(accuracies({"none": NONE, "l2": NONE}), "l2", no_effect="strength=0")
    assert not any("equals" in text for text in caveats(off))


@pytest.mark.parametrize(("patience", "count"), [("5", 1), ("inf", 0)])
def test_early_stopping_uses_validation_labels(patience: str, count: int) -> None:
    records = accuracies({"none": NONE, "early_stopping": UP})
    stopped = [
        replace(r, params={"regularizer.early_stopping.patience": patience}, metrics={**r.metrics, "time/epochs": 7.0})
        if r.tags["strategy"] == "early_stopping"
        else r
        for r in records
    ]
    texts = caveats(stopped)
    assert len(texts) == count
    assert all("early_stopping (trained for 7.0 epochs" in text for text in texts)


def test_strengths_without_a_validation_metric() -> None:
    records = [*accuracies({"none": NONE})]
    records += [rec("l2", s, {"test/accuracy": 0.5 + s / 100 + p}, strengths={"l2.strength": p})
                for s in range(6) for p in (0.1, 0.2)]  # fmt: skip
    assert any("No run of l2 tracks val/accuracy" in text for text in caveats(records))


def test_a_small_p_without_a_claim_is_explained() -> None:
    table = group_runs(accuracies({"none": NONE, "l2": UP}))
    selection = select_arms(table, QUESTION)
    entries = task_leaderboard(table, selection, QUESTION, 0.0)
    unclear = [replace(e, verdict=Verdict("no clear difference"), reason="its interval contains 0") for e in entries]
    texts = comparison_caveats(unclear, table, selection, QUESTION)
    assert any(text.startswith("l2: Holm’s p is 0.031") and "its interval contains 0" in text for text in texts)


def artifacts(tested: float, last: float, **changes: Any) -> list[str]:
    """Return caveats for l2 that is better by `tested` with the tested weights and by `last` at the last epoch."""
    records = [
        rec(
            name,
            seed,
            {"test/accuracy": value, "best/val/accuracy": 0.6 + up * tested, "val/accuracy": 0.7 + up * last},
        )
        for name, values, up in (("none", NONE, 0), ("l2", UP, 1))
        for seed, value in enumerate(values)
    ]
    table: ArmTable = group_runs(records)
    entries = task_leaderboard(table, select_arms(table, QUESTION), QUESTION, 0.0)
    return early_stopping_artifacts([replace(entry, **changes) for entry in entries], table, QUESTION)


def test_a_difference_that_vanishes_at_the_last_epoch() -> None:
    (caveat,) = artifacts(0.1, 0.04)
    assert "l2 (+0.1, at the last epoch +0.04)" in caveat
    assert artifacts(0.1, 0.06) == []
    assert "at the last epoch −0.02" in artifacts(0.1, -0.02)[0]
    assert artifacts(0.1, 0.0, verdict=Verdict("no clear difference")) == []  # no significant difference
