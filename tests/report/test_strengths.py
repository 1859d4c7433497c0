"""Arms of one strategy with several strengths: their labels, and the selection by validation."""

import pytest

from reglab.schema.errors import ConfigError
from tests.report.runs_by_hand import NONE, UP, Rec, accuracies, analyze, entries_of, rec


def strengths(test: dict[float, list[float]], val: dict[float, list[float]]) -> list[Rec]:
    return [
        rec(
            "dropout",
            s,
            {"test/accuracy": v, "val/accuracy": val[p][s]},
            strengths={"dropout.p": p, "dropout.input_p": 0},
        )
        for p, values in test.items()
        for s, v in enumerate(values)
    ]


def test_validation_chooses_the_strength() -> None:
    tested = strengths({0.1: UP, 0.3: NONE}, {0.1: NONE, 0.3: UP})
    findings = analyze([*accuracies({"none": NONE}), *tested])
    assert set(entries_of(findings)) == {"none", "dropout(p=0.1)", "dropout(p=0.3)"}
    assert entries_of(findings)["dropout(p=0.3)"].chosen
    assert not entries_of(findings)["dropout(p=0.1)"].chosen
    assert (
        "dropout(p=0.3) ties with the baseline" in findings.headline
    )  # the arm with the better test metric is not chosen
    assert "selected by val/accuracy" in findings.headline


def test_the_best_weights_metric_is_preferred() -> None:
    tested = strengths({0.1: UP, 0.3: NONE}, {0.1: NONE, 0.3: UP})
    for record in tested:
        record.metrics["best/val/accuracy"] = record.metrics["test/accuracy"]
    findings = analyze([*accuracies({"none": NONE}), *tested])
    assert entries_of(findings)["dropout(p=0.1)"].chosen
    assert findings.tasks[0].selection.metric == "best/val/accuracy"


def test_a_test_metric_must_not_choose() -> None:
    records = [*accuracies({"none": NONE}), *strengths({0.1: UP, 0.3: NONE}, {0.1: NONE, 0.3: UP})]
    with pytest.raises(ConfigError) as refused:
        analyze(records, select_by="test/accuracy")
    assert refused.value.key == "select_by"
    assert "val/accuracy" in refused.value.remedy
    forced = analyze(records, select_by="test/accuracy", force=True)
    assert entries_of(forced)["dropout(p=0.1)"].chosen
    assert "Forced: the test metric test/accuracy" in forced.headline


def test_without_validation_no_strength_is_chosen() -> None:
    tested = strengths({0.1: UP, 0.3: NONE}, {0.1: NONE, 0.3: UP})
    for record in tested:
        del record.metrics["val/accuracy"]
    findings = analyze([*accuracies({"none": NONE}), *tested])
    assert all(line.chosen for line in findings.entries)
    assert "are listed side by side" in findings.headline


def test_names_hold_the_strengths_that_vary() -> None:
    records = [
        rec("dropout+l2", 0, {"test/accuracy": 0.5}, strengths={"dropout.p": 0.5, "l2.strength": s})
        for s in (1e-3, 1e-4)
    ]
    records += [
        rec("elastic_net", 0, {"test/accuracy": 0.5}, strengths={"elastic_net.l1": s, "elastic_net.l2": s})
        for s in (1, 2)
    ]
    assert set(entries_of(analyze(records))) == {
        "dropout+l2(strength=0.001)",
        "dropout+l2(strength=0.0001)",
        "elastic_net(l1=1, l2=1)",
        "elastic_net(l1=2, l2=2)",
    }


def test_different_notations_of_a_strength_are_one_arm() -> None:
    records = accuracies({"l1": UP[:2]})
    records[0].params["regularizer.l1.strength"] = "0.001"
    records[1].params["regularizer.l1.strength"] = "1e-3"
    assert set(entries_of(analyze(records))) == {"l1"}


def test_a_strength_with_few_finished_seeds_is_not_chosen() -> None:
    records = [*accuracies({"none": NONE})]
    for p, seeds in ((0.5, range(6)), (0.9, range(1))):
        for seed in seeds:
            figures = {"test/accuracy": UP[seed] - p / 100, "val/accuracy": p}
            records.append(rec("dropout", seed, figures, strengths={"dropout.p": p}))
    findings = analyze(records)
    board = entries_of(findings)
    assert board["dropout(p=0.5)"].chosen
    assert not board["dropout(p=0.9)"].chosen
    assert any("dropout(p=0.9) has no result for seed 1" in text for text in findings.tasks[0].caveats)
