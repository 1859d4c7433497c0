"""The leaderboard over several tasks: mean ranks, and differences over data sets."""

from collections.abc import Mapping

import pytest

from reglab.report.findings.leaderboard import Entry
from reglab.report.findings.overall import data_set_comparison, overall_caveats, overall_leaderboard
from reglab.report.question import Question
from reglab.report.statistics.data_sets import DataSetComparison

QUESTION = Question("test/accuracy", "max", "none", ("val/accuracy",), "max")


def board(means: Mapping[str, float], *, chosen: bool = True) -> list[Entry]:
    """Return the leaderboard of a task, with the given means by label."""
    return [
        Entry(label, label.split("(")[0], 5, mean, baseline=label == "none", chosen=chosen, seconds=10 * mean)
        for label, mean in means.items()
    ]


def by_label(entries: list[Entry]) -> dict[str, Entry]:
    return {entry.label: entry for entry in entries}


def test_ranks_are_means_over_tasks_and_differences_over_data_sets() -> None:
    """Two settings of digits count as one data set, with their mean."""
    boards = [board({"none": 0.6, "l2": a, "l1": b}) for a, b in ((0.7, 0.5), (0.8, 0.9), (0.6, 0.7))]
    entries = by_label(overall_leaderboard(boards, QUESTION, ["digits", "digits", "wine"]))
    assert {label: entry.rank for label, entry in entries.items()} == pytest.approx(
        {"l2": (1 + 2 + 2.5) / 3, "l1": (3 + 1 + 1) / 3, "none": (2 + 3 + 2.5) / 3}
    )
    l2 = entries["l2"]
    assert (l2.n, l2.pairs) == (3, 2)
    assert l2.mean == pytest.approx((0.75 + 0.6) / 2)
    assert l2.diff == pytest.approx((0.15 + 0.0) / 2)
    assert l2.seconds == pytest.approx(7.0)
    assert l2.verdict == "too few data sets to tell"
    assert entries["none"].verdict == "baseline"


def test_an_entry_missing_in_a_task_has_no_rank() -> None:
    boards = [board({"none": 0.6, "l2": 0.7}), board({"none": 0.6, "l2": 0.7, "l1": 0.9})]
    entries = overall_leaderboard(boards, QUESTION, ["digits", "wine"])
    assert [(entry.label, entry.rank, entry.n) for entry in entries] == [
        ("l2", 1.0, 2),
        ("none", 2.0, 2),
        ("l1", None, 1),
    ]
    (caveat,) = overall_caveats(entries, ["digits", "wine"])
    assert caveat.startswith("l1 was run on 1 of 2 tasks")


def test_different_arms_are_compared_by_strategy() -> None:
    """Each task is represented by its chosen strength, with the strategy as its label."""
    boards = [
        [*board({"none": 0.6, "dropout(p=0.1)": 0.7}), *board({"dropout(p=0.3)": 0.9}, chosen=False)],
        board({"none": 0.6, "dropout(p=0.5)": 0.8}),
    ]
    entries = by_label(overall_leaderboard(boards, QUESTION, ["digits", "wine"]))
    assert set(entries) == {"none", "dropout"}
    assert entries["dropout"].mean == pytest.approx(0.75)


def test_the_arm_that_represents_a_strategy_in_most_tasks_is_chosen() -> None:
    boards = [
        [*board({"none": 0.6, "l2(strength=1)": 0.7}), *board({"l2(strength=2)": 0.8}, chosen=False)],
        [*board({"none": 0.6, "l2(strength=1)": 0.7}), *board({"l2(strength=2)": 0.8}, chosen=False)],
    ]
    entries = by_label(overall_leaderboard(boards, QUESTION, ["digits", "wine"]))
    assert {label: entry.chosen for label, entry in entries.items()} == {
        "none": True,
        "l2(strength=1)": True,
        "l2(strength=2)": False,
    }


def test_settings_of_one_data_set_are_mentioned() -> None:
    (caveat,) = overall_caveats([], ["digits", "wine", "digits"])
    assert "(digits)" in caveat


def test_all_strategies_are_compared_if_there_are_five_data_sets() -> None:
    boards = [board({"none": 0.6, "l2": 0.7 + 0.01 * i, "l1": 0.5 - 0.01 * i}) for i in range(6)]
    data = [f"d{i}" for i in range(6)]
    few = data_set_comparison(boards[:4], data[:4], overall_leaderboard(boards[:4], QUESTION, data[:4]), QUESTION)
    assert isinstance(few, str)
    comparison = data_set_comparison(boards, data, overall_leaderboard(boards, QUESTION, data), QUESTION)
    assert isinstance(comparison, DataSetComparison)
    assert (comparison.strategies, comparison.ranks, comparison.data_sets) == (["l2", "none", "l1"], [1.0, 2.0, 3.0], 6)
    assert len(comparison.pairs) == 3
