"""The headline of a report, from entries with known values."""

from dataclasses import replace
from typing import Any

import pytest

from reglab.report.arms import Selection
from reglab.report.findings.headline import headline_notes, overall_headline, task_headline
from reglab.report.findings.leaderboard import Entry
from reglab.report.findings.verdicts import Verdict
from reglab.report.question import Question
from reglab.report.run_filter import Failure
from tests.report.runs_by_hand import rec

QUESTION = Question("test/accuracy", "max", "none", ("val/accuracy",), "max")
BASE = Entry("none", "none", 6, 0.725, 0.02, rank=2.0, baseline=True, verdict=Verdict("baseline"))


def entry(label: str, mean: float, verdict: str, **fields: Any) -> Entry:
    tested = {"diff": mean - 0.725, "diff_interval": (mean - 0.735, mean - 0.715), "pairs": 6, "p": 0.03}
    return Entry(
        label, label, 6, mean, 0.02, verdict=Verdict(verdict), **{**tested, "p_holm": 0.04, "rank": 1.0, **fields}
    )


def test_an_improvement_has_its_size_interval_and_p() -> None:
    headline = task_headline([entry("dropout", 0.765, "helps"), BASE], QUESTION, "digits")
    assert headline.startswith("On digits, dropout raises test/accuracy ")
    for part in (
        "0.725 (none)",
        "to 0.765, by 0.04",
        "95 % interval +0.030 to +0.050",
        "6 paired seeds",
        "Holm’s p = 0.040",
    ):
        assert part in headline


def test_a_loss_falls_and_others_that_help_are_listed() -> None:
    question = replace(QUESTION, metric="test/loss", direction="min")
    entries = [entry("l2", 0.7, "helps"), entry("l1", 0.71, "helps", rank=2.0), BASE]
    headline = task_headline(entries, question, "wine")
    assert "l2 lowers test/loss" in headline
    assert headline.endswith("; l1 helps too.")


def test_means_of_other_runs_than_the_pairs_are_left_out() -> None:
    headline = task_headline([entry("l2", 0.765, "helps", pairs=5), BASE], QUESTION, "wine")
    assert "raises test/accuracy against none by" in headline
    assert "from" not in headline


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "no finished run has test/accuracy"),
        ([BASE], "only none was run"),
        ([BASE, Entry("l1", "l1", 0, chosen=False)], "no run of l1 has a result"),
        ([replace(entry("l1", 0.7, ""), p=None)], "no run of the baseline none"),
        ([replace(entry("l1", 0.7, ""), p=None), BASE], "no seed that pairs with none"),
    ],
)
def test_why_nothing_can_be_tested(entries: list[Entry], words: str) -> None:
    assert words in task_headline(entries, QUESTION, "digits")


@pytest.mark.parametrize(
    ("rank", "words"),
    [(1.0, "l1 ranks first (+"), (2.0, "l1 ties with the baseline"), (3.0, "l1 comes closest"), (None, "has no rank")],
)
def test_without_an_improvement_the_best_strategy_is_compared(rank: float | None, words: str) -> None:
    best = entry("l1", 0.73, "no clear difference", rank=rank, reason="the interval contains 0")
    headline = task_headline([best, entry("l2", 0.6, "hurts", rank=4.0), BASE], QUESTION, "digits")
    assert words in headline
    assert "l2 hurts" in headline
    assert "not claimed, because the interval contains 0" in headline


def test_too_few_seeds_name_the_smallest_p() -> None:
    few = entry("l1", 0.73, "too few seeds to tell", pairs=5)
    headline = task_headline([few, BASE], QUESTION, "digits")
    assert "too few seeds to tell" in headline
    assert "5 paired seeds and 1 comparison" in headline
    assert "p cannot fall below 0.062" in headline


def test_over_several_tasks() -> None:
    helping = entry("dropout", 0.765, "helps")
    assert overall_headline([helping, BASE], QUESTION, [[helping, BASE]] * 6, 6).startswith(
        "Over 6 tasks, dropout raises"
    )
    few = replace(helping, verdict=Verdict("too few data sets to tell"), pairs=2, n=2)
    boards = [[helping, entry("l1", 0.6, "hurts"), BASE], [helping, BASE]]
    headline = overall_headline([few, BASE], QUESTION, boards, 1)
    assert headline.startswith("By task: dropout helps on 2 of 2 tasks; ")
    assert "l1 hurts on 1 of 2 tasks. 1 data set is too few" in headline


def test_notes_count_failures_and_name_the_selection() -> None:
    failures = [Failure(rec("l1", seed, status="FAILED"), f"diverged at step {seed}") for seed in range(2)]
    selections = [Selection({}, "val/accuracy", {}, []), Selection({}, None, {}, ["l2"])]
    notes = headline_notes(QUESTION, failures, selections, 1, ["l1 (digits)"])
    for part in (
        "Strengths were selected by val/accuracy.",
        "listed side by side",
        "2 runs have no result (2 diverged).",
        "No trial of l1 (digits) has a score: it is not compared.",
        "1 declared run is missing.",
    ):
        assert part in notes
    assert headline_notes(QUESTION, [], [], 0) == ""
    forced = replace(QUESTION, select_by=("test/accuracy",), forced=True)
    assert headline_notes(forced, [], selections, 0).startswith("Forced: the test metric test/accuracy")
