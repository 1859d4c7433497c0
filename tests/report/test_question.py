"""What can be asked, and what it means."""

import pytest

from reglab.report.question import resolve_question
from reglab.schema.errors import ConfigError
from reglab.schema.metrics import direction_of, validation_twins
from tests.report.runs_by_hand import NONE, UP, accuracies, analyze, entries_of, rec


def test_another_baseline() -> None:
    records = accuracies({"none": NONE, "l1": UP})
    assert entries_of(analyze(records, baseline="l1"))["none"].verdict == "hurts"
    with pytest.raises(ConfigError, match=r"baseline=l3: no run of that strategy; did you mean l1"):
        analyze(records, baseline="l3")


def test_questions_that_cannot_be_answered() -> None:
    records = accuracies({"none": NONE})
    with pytest.raises(ConfigError, match=r"metric=test/acuracy: no run tracks it; did you mean test/accuracy\?"):
        resolve_question(records, metric="test/acuracy")
    with pytest.raises(ConfigError, match=r"direction=up: max or min"):
        resolve_question(records, direction="up")
    with pytest.raises(ConfigError, match="direction=null: the name my/figure does not show"):
        resolve_question([rec("none", 0, {"my/figure": 1})], metric="my/figure")
    assert resolve_question(records).metric == "test/accuracy"


def test_directions_and_twins() -> None:
    ups = ["test/accuracy", "test/balanced_accuracy", "test/r2"]
    downs = ["test/loss", "test/rmse", "test/ece", "test/perplexity", "gap/loss", "time/train_s"]
    assert [direction_of(m) for m in ups] == ["max"] * 3
    assert [direction_of(m) for m in downs] == ["min"] * 6
    assert validation_twins("test/accuracy") == ("best/val/accuracy", "val/accuracy")
    assert validation_twins("test/r2") == ("best/val/rmse", "val/rmse")
    assert "val/accuracy" in validation_twins("test/balanced_accuracy")
    assert "val/loss" in validation_twins("test/ece")
