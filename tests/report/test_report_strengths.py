"""Several strengths of a strategy: their names, and the one that validation chooses."""

import pytest

from reglab.schema.errors import ConfigError
from tests.report.lab import NONE, UP, Rec, accuracies, found, lines, rec


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
    findings = found([*accuracies({"none": NONE}), *tested])
    assert set(lines(findings)) == {"none", "dropout(p=0.1)", "dropout(p=0.3)"}
    assert lines(findings)["dropout(p=0.3)"].chosen
    assert not lines(findings)["dropout(p=0.1)"].chosen
    assert "dropout(p=0.3) comes level" in findings.headline  # the better one on the test was not chosen
    assert "chosen by val/accuracy" in findings.headline


def test_the_best_weights_metric_is_preferred() -> None:
    tested = strengths({0.1: UP, 0.3: NONE}, {0.1: NONE, 0.3: UP})
    for record in tested:
        record.metrics["best/val/accuracy"] = record.metrics["test/accuracy"]
    findings = found([*accuracies({"none": NONE}), *tested])
    assert lines(findings)["dropout(p=0.1)"].chosen
    assert findings.tasks[0].choice.metric == "best/val/accuracy"


def test_a_test_metric_must_not_choose() -> None:
    records = [*accuracies({"none": NONE}), *strengths({0.1: UP, 0.3: NONE}, {0.1: NONE, 0.3: UP})]
    with pytest.raises(
        ConfigError, match=r"select_by=test/accuracy: the test judges, .* val/accuracy, or say force=true"
    ):
        found(records, select_by="test/accuracy")
    forced = found(records, select_by="test/accuracy", force=True)
    assert lines(forced)["dropout(p=0.1)"].chosen
    assert "Forced: the test metric test/accuracy chose" in forced.headline


def test_without_validation_no_strength_is_chosen() -> None:
    tested = strengths({0.1: UP, 0.3: NONE}, {0.1: NONE, 0.3: UP})
    for record in tested:
        del record.metrics["val/accuracy"]
    findings = found([*accuracies({"none": NONE}), *tested])
    assert all(line.chosen for line in findings.lines)
    assert "stand side by side" in findings.headline


def test_names_hold_the_strengths_that_vary() -> None:
    records = [
        rec("dropout+l2", 0, {"test/accuracy": 0.5}, strengths={"dropout.p": 0.5, "l2.strength": s})
        for s in (1e-3, 1e-4)
    ]
    records += [
        rec("elastic_net", 0, {"test/accuracy": 0.5}, strengths={"elastic_net.l1": s, "elastic_net.l2": s})
        for s in (1, 2)
    ]
    assert set(lines(found(records))) == {
        "dropout+l2(strength=0.001)",
        "dropout+l2(strength=0.0001)",
        "elastic_net(l1=1, l2=1)",
        "elastic_net(l1=2, l2=2)",
    }


def test_the_same_strength_written_otherwise_is_one_row() -> None:
    records = accuracies({"l1": UP[:2]})
    records[0].params["regularizer.l1.strength"] = "0.001"
    records[1].params["regularizer.l1.strength"] = "1e-3"
    assert set(lines(found(records))) == {"l1"}


def test_a_strength_that_survived_few_seeds_is_not_chosen() -> None:
    records = [*accuracies({"none": NONE})]
    for p, seeds in ((0.5, range(6)), (0.9, range(1))):
        for seed in seeds:
            figures = {"test/accuracy": UP[seed] - p / 100, "val/accuracy": p}
            records.append(rec("dropout", seed, figures, strengths={"dropout.p": p}))
    findings = found(records)
    board = lines(findings)
    assert board["dropout(p=0.5)"].chosen
    assert not board["dropout(p=0.9)"].chosen
    assert any("dropout(p=0.9) has no result for seed 1" in text for text in findings.tasks[0].weaknesses)
