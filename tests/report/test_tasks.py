"""Tasks: their names, and the leaderboard over several tasks."""

from typing import Any

import pytest

from reglab.report.records import escape_record
from tests.report.runs_by_hand import NONE, UP, Rec, accuracies, analyze, entries_of, rec


def test_different_settings_are_different_tasks() -> None:
    records = []
    for noise in (0.0, 0.3):
        about = f'{{"data.label_noise": {noise}, "model._target_": "reglab.models.MLP"}}'
        records += accuracies({"none": NONE, "l1": UP}, setting=str(noise), about=about)
    findings = analyze(records)
    assert [f.task.name for f in findings.tasks] == ["digits (label_noise=0.0)", "digits (label_noise=0.3)"]
    assert entries_of(findings)["l1"].n == 2


@pytest.mark.parametrize("feature", ["data.path", "data._target_", "data.target"])
def test_two_data_sets_of_one_name_are_two_data_sets(feature: str) -> None:
    def board(*names: str) -> list[Any]:
        records: list[Rec] = []
        for number, name in enumerate(names):
            about = f'{{"{feature}": "{number}{number}", "model._target_": "reglab.models.MLP"}}'
            better = [v + 0.01 * (number + 1) for v in NONE]
            records += accuracies({"none": NONE, "l1": better}, data=name, setting=str(number), about=about)
        return list(analyze(records).entries)

    assert board("t", "t") == board("a", "b")


def test_a_name_of_megabytes_is_shortened_and_unique() -> None:
    long = "B" * 2_000_000
    names = [escape_record(rec(name, 0, {"test/accuracy": 0.5})).tags["strategy"] for name in (long, f"{long}C", "l1")]
    assert [len(name) for name in names] == [200, 200, 2]
    assert len(set(names)) == 3


def test_models_are_reported_apart_without_a_setting() -> None:
    records = accuracies({"none": NONE}, model="mlp") + accuracies({"none": UP}, model="cnn")
    assert [f.task.name for f in analyze(records).tasks] == ["digits (model=cnn)", "digits (model=mlp)"]


def test_a_task_with_one_strategy_is_no_comparison() -> None:
    compared = accuracies({"none": NONE, "dropout": UP})
    alone = [rec("none", 0, {"test/accuracy": 0.1}, data="wine")]
    findings = analyze([*compared, *alone])
    assert findings.overall is None
    assert findings.headline == analyze(compared).headline
    (exclusion,) = findings.exclusions
    assert exclusion.startswith("1 run was left out")
    assert "on wine only none was run" in exclusion
    assert [task.task.name for task in analyze(alone).tasks] == ["wine"]
    failed = rec("l1", 0, status="FAILED", data="wine")
    assert len(analyze([*compared, *alone, failed]).tasks) == 2


def test_overall_ranks_and_tests_over_tasks() -> None:
    ups = [0.02, 0.03, 0.01, 0.04, 0.05, 0.06]
    records: list[Rec] = []
    for i, up in enumerate(ups):
        none = [v + 0.01 * i for v in NONE]
        better = {"l1": [v + up for v in none], "l2": [v - 0.01 if i else v + 0.1 for v in none]}
        records += accuracies({"none": none, **better}, data=f"data{i}")
    findings = analyze(records)
    board = entries_of(findings)
    assert board["l1"].n == 6
    assert board["l1"].rank == pytest.approx((2 + 5 * 1) / 6)
    assert board["none"].rank == pytest.approx((3 + 5 * 2) / 6)
    assert board["l2"].rank == pytest.approx((1 + 5 * 3) / 6)
    assert board["l1"].diff == pytest.approx(sum(ups) / 6)
    assert board["l1"].p == pytest.approx(2 / 2**6)
    assert board["l1"].p_holm == pytest.approx(4 / 2**6)
    assert board["l1"].verdict == "too few data sets to tell"
    assert len(findings.tasks) == 6
    assert findings.headline.startswith("Over 6 tasks, too few data sets")
    assert "l1 ranks first" in findings.headline


def test_tasks_with_other_strengths_are_compared_by_strategy() -> None:
    records: list[Rec] = []
    for data, ps in (("a", (0.1, 0.3)), ("b", (0.2, 0.5))):
        records += accuracies({"none": NONE}, data=data)
        for p in ps:
            for s, v in enumerate(UP):
                metrics = {"test/accuracy": v - p / 10, "val/accuracy": v - p / 10}
                records.append(rec("dropout", s, metrics, strengths={"dropout.p": p}, data=data))
    findings = analyze(records)
    assert set(entries_of(findings)) == {"none", "dropout"}
    assert entries_of(findings)["dropout"].diff == pytest.approx(0.32 / 6 - 0.015)


def test_settings_of_one_data_set_are_not_repetitions() -> None:
    records: list[Rec] = []
    for i in range(8):  # the same data set at eight learning rates
        better = [v + 0.01 * (i + 1) for v in NONE]
        records += accuracies({"none": NONE, "l1": better}, setting=f"lr{i}", about=f"lr {i}")
    findings = analyze(records)
    line = entries_of(findings)["l1"]
    assert (line.n, line.pairs, line.p, line.rank) == (8, 1, 1.0, 1.0)
    assert line.diff == pytest.approx(0.045)
    assert line.verdict == "too few data sets to tell"
    first, second = findings.headline.split(". ", 1)
    assert first == "By task: l1 helps on 8 of 8 tasks"
    assert second.startswith("1 data set is too few")
    assert second.endswith("below 1.")
    assert any("settings of one data set (digits)" in text for text in findings.overall_caveats)


def test_a_strategy_missing_in_some_tasks_has_no_rank() -> None:
    records: list[Rec] = []
    for i in range(3):
        records += accuracies({"none": NONE, "l2": [v + 0.01 for v in NONE]}, data=f"data{i}")
    records += accuracies({"l1": [v + 0.2 for v in NONE]}, data="data0")
    findings = analyze(records)
    board = entries_of(findings)
    assert [line.label for line in findings.entries] == ["l2", "none", "l1"]
    assert (board["l2"].rank, board["none"].rank, board["l1"].rank) == (1.0, 2.0, None)
    first, second = findings.headline.split(". ", 1)
    assert first == "By task: l2 helps on 2 of 3 tasks"
    assert second.startswith("3 data sets are too few")
    assert second.endswith("below 0.500.")
    assert any("l1 was run on 1 of 3 tasks" in text for text in findings.overall_caveats)


def test_verdicts_are_counted_over_tasks() -> None:
    seeds = [0.70 + i / 1000 for i in range(12)]
    by = {"l1": (0.1, 0.1, 0.1), "l2": (0.1, 0.1, 0.1), "sam": (0.1, 0.0, -0.1), "ema": (0.0, 0.0, 0.0)}
    records: list[Rec] = []
    for i in range(3):
        values = {name: [v + by[name][i] for v in seeds] for name in by}
        records += accuracies({"none": seeds, **values}, data="digits", setting=str(i), about=str(i))
    counts = analyze(records).headline.split(". ")[0]
    helps, hurts = counts.removeprefix("By task: ").split("; ")
    assert helps == "l1 and l2 help on 3 of 3 tasks, sam on 1"
    assert hurts == "sam hurts on 1 of 3 tasks"


def test_means_over_tasks_differ_by_the_difference() -> None:
    """Two settings of one data set count once in means and differences."""
    records: list[Rec] = []
    for data, setting, up in (("a", "1", 0.02), ("a", "2", 0.04), ("b", "3", 0.09)):
        records += accuracies({"none": NONE, "l1": [v + up for v in NONE]}, data=data, setting=setting)
    board = entries_of(analyze(records))
    assert board["l1"].n == 3
    assert board["l1"].diff == pytest.approx((0.03 + 0.09) / 2)
    assert board["l1"].mean is not None
    assert board["l1"].mean - sum(NONE) / 6 == pytest.approx(0.06)
    sets = [sum(NONE) / 6 + up for up in (0.03, 0.09)]
    assert board["l1"].std == pytest.approx(abs(sets[0] - sets[1]) / 2**0.5)  # of the two data sets
