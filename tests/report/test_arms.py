"""Arms of a task: grouping of runs, selection of an arm for each strategy, and evidence on splits and pairs."""

from typing import Any

import pytest

from reglab.report.arms import (
    Arm,
    ArmTable,
    arm_label,
    check_pairing,
    format_replicate,
    group_runs,
    missing_replicates,
    select_arms,
    split_design,
    tracked_strengths,
)
from reglab.report.question import Question
from reglab.report.run_filter import Failure
from tests.report.runs_by_hand import Rec, rec

QUESTION = Question("test/accuracy", "max", "none", ("best/val/accuracy", "val/accuracy"), "max")


def dropout(p: float, seed: int, val: float | None = None, **extra_tags: Any) -> Rec:
    metrics = {} if val is None else {"val/accuracy": val}
    return rec("dropout", seed, metrics, strengths={"dropout.p": p}, **extra_tags)


def labels(table: ArmTable) -> list[str]:
    return [arm.label for arm in table.arms]


def test_a_strength_is_in_the_label_only_where_it_varies() -> None:
    assert labels(group_runs([rec("none", 0), dropout(0.3, 0), dropout(0.3, 1)])) == ["dropout", "none"]
    table = group_runs([rec("none", 0), dropout(0.3, 0), dropout(0.05, 0)])
    assert labels(table) == ["dropout(p=0.05)", "dropout(p=0.3)", "none"]  # in numeric order
    assert table.varying == {"dropout": ["dropout.p"], "none": []}
    assert table.label(dropout(0.3, 7)) == "dropout(p=0.3)"


def test_strengths_of_other_regularizers_are_ignored() -> None:
    table = group_runs([rec("none", seed, strengths={"dropout.p": seed}) for seed in range(2)])
    assert labels(table) == ["none"]
    assert tracked_strengths(rec("l2", 0, strengths={"l2.strength": 1e-3, "none": 1})) == {"l2.strength": "0.001"}


def test_a_combination_has_its_strengths_after_each_part() -> None:
    assert arm_label("dropout+l2", {"dropout.p": "0.3", "l2.strength": ""}) == "dropout(p=0.3)+l2"
    assert arm_label("l2", {"l2.strength": "1", "l2.start": "0"}) == "l2(strength=1, start=0)"


def test_the_newest_run_of_a_seed_counts_and_is_mentioned() -> None:
    runs = [rec("l2", 3, {"test/accuracy": value}, started=value) for value in (0.9, 0.2, 0.5)]
    table = group_runs(runs)
    assert table.arms[0].values("test/accuracy") == {("3", "3"): 0.9}
    (sentence,) = table.duplicates
    assert sentence.startswith("l2 was run more than once ")
    assert "(3)" in sentence


def test_replicates_are_sorted_by_number_and_may_have_a_split() -> None:
    table = group_runs([rec("l2", seed) for seed in (10, 9, 0)])
    assert table.replicates == [("0", "0"), ("9", "9"), ("10", "10")]
    assert list(table.arms[0].runs) == table.replicates
    without = rec("l2", 4)
    del without.tags["split_seed"]
    assert group_runs([rec("l2", 1), without]).replicates == [("1",), ("4",)]
    assert [format_replicate(key) for key in (("3",), ("3", "3"), ("3", "1"))] == [
        "seed 3",
        "seed 3",
        "seed 3, split 1",
    ]


def test_an_arm_whose_runs_failed_has_no_runs() -> None:
    table = group_runs([rec("none", 0)], [Failure(rec("l1", 0, status="FAILED"), "diverged at step 3")])
    assert {arm.label: len(arm.runs) for arm in table.arms} == {"l1": 0, "none": 1}
    assert table.arms[0].mean("test/accuracy") is None


def test_values_leave_out_what_is_not_finite() -> None:
    arm = Arm("l2", "l2", {}, {("0",): rec("l2", 0, {"x": 1.0}), ("1",): rec("l2", 1, {"x": float("nan")})})
    assert arm.values("x") == {("0",): 1.0}
    assert arm.mean("x") == 1.0
    assert arm.tags("seed") == ["0", "1"]


@pytest.mark.parametrize(("direction", "chosen"), [("max", "dropout(p=0.3)"), ("min", "dropout(p=0.1)")])
def test_the_best_mean_of_the_selection_metric_represents_a_strategy(direction: str, chosen: str) -> None:
    question = Question("test/accuracy", "max", "none", QUESTION.select_by, direction)
    runs = [dropout(p, seed, val) for p, val in ((0.1, 0.6), (0.3, 0.8), (0.5, 0.7)) for seed in range(2)]
    selection = select_arms(group_runs([rec("none", 0), *runs]), question)
    assert selection.chosen == {"none": "none", "dropout": chosen}
    assert selection.metric == "val/accuracy"
    assert selection.scores["dropout(p=0.5)"] == pytest.approx(0.7)


def test_an_arm_with_fewer_seeds_cannot_be_selected() -> None:
    runs = [dropout(0.1, 0, 0.5), dropout(0.1, 1, 0.5), dropout(0.3, 0, 0.9)]
    selection = select_arms(group_runs(runs), QUESTION)
    assert selection.chosen == {"dropout": "dropout(p=0.1)"}
    assert selection.metric is None  # no other arm


def test_without_a_selection_metric_all_arms_represent_the_strategy() -> None:
    table = group_runs([dropout(0.1, 0), dropout(0.3, 0)])
    selection = select_arms(table, QUESTION)
    assert (selection.chosen, selection.undecided) == ({}, ["dropout"])
    assert all(selection.represents(arm) for arm in table.arms)


@pytest.mark.parametrize(
    ("more", "overlap", "words", "has_caveat"),
    [
        ({}, 0.25, "Nadeau and Bengio", False),  # 200 test rows of 1,000
        ({"split_hash": "same"}, 0.0, "same for every seed", False),
        ({"test_rows": "0"}, 0.0, "No two seeds share rows", False),
        ({"rows": "many"}, 0.0, "no tags rows and test_rows", True),
        ({"test_rows": "1000"}, 0.0, "no tags rows and test_rows", True),  # no other rows
    ],
)
def test_how_splits_vary(more: dict[str, str], overlap: float, words: str, has_caveat: bool) -> None:
    design = split_design(group_runs([Rec(f"r{s}", tags={**rec("l2", s).tags, **more}) for s in range(3)]))
    assert design.overlap == overlap
    assert words in design.description
    assert (design.caveat is not None) == has_caveat


def test_without_seeds_and_hashes_the_splits_are_unknown() -> None:
    runs = [Rec(f"r{seed}", tags={"strategy": "l2", "seed": str(seed)}) for seed in range(2)]
    assert "split_seed or split_hash" in split_design(group_runs(runs)).description


def test_pairs_are_proven_by_hashes() -> None:
    runs = [rec(name, seed) for name in ("none", "l2") for seed in range(2)]
    assert check_pairing(group_runs(runs)) == (["the split", "the initial weights", "the batch order"], [])
    runs[0].tags["init_hash"] = "another"
    del runs[1].tags["order_hash"]
    proven, (differing, missing) = check_pairing(group_runs(runs))
    assert proven == ["the split"]
    assert differing.startswith("init_hash ")
    assert " for seed 0" in differing
    assert missing.startswith("1 of 4 runs have no order_hash")
    assert check_pairing(group_runs(runs[:1])) == ([], [])  # no pairs


def test_missing_seeds_are_listed_up_to_six() -> None:
    runs = [rec("none", seed) for seed in range(8)]
    (few,) = missing_replicates(group_runs([*runs, *(rec("l2", seed) for seed in range(6))]))
    assert few.startswith("l2 has no result for seed 6, seed 7: ")
    (message,) = missing_replicates(group_runs([*runs, rec("l2", 0)]))
    assert "seed 1, seed 2, seed 3, " in message
    assert "seed 5 and 2 more" in message
