"""Defaults and checks of the compared metric, direction, baseline and selection metric."""

import pytest

from reglab.report.question import resolve_question
from reglab.schema.errors import ConfigError
from reglab.schema.metrics import direction_of, validation_counterparts
from tests.report.runs_by_hand import NONE, UP, accuracies, analyze, entries_of, rec


def test_another_baseline() -> None:
    records = accuracies({"none": NONE, "l1": UP})
    assert entries_of(analyze(records, baseline="l1"))["none"].verdict == "hurts"
    with pytest.raises(ConfigError) as refused:
        analyze(records, baseline="l3")
    assert (refused.value.key, refused.value.value) == ("baseline", "l3")
    assert "l1" in refused.value.remedy


def test_the_defaults_are_the_first_tracked_metric_and_its_validation_counterpart() -> None:
    question = resolve_question(accuracies({"none": NONE}))
    assert (question.metric, question.direction, question.baseline) == ("test/accuracy", "max", "none")
    assert question.select_by == ("best/val/accuracy", "val/accuracy")
    assert not question.forced


@pytest.mark.parametrize(
    ("options", "key", "remedy"),
    [
        ({"metric": "test/acuracy"}, "metric", "test/accuracy"),
        ({"direction": "up"}, "direction", ""),
        ({"select_by": "val/acuracy"}, "select_by", ""),
        ({"select_by": "test/accuracy"}, "select_by", "force=true"),
    ],
)
def test_invalid_questions(options: dict[str, str], key: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as refused:
        resolve_question(accuracies({"none": NONE}), **options)  # type: ignore[arg-type]
    assert (refused.value.key, refused.value.value) == (key, next(iter(options.values())))
    assert remedy in refused.value.remedy


def test_metrics_of_unknown_direction_or_none_at_all() -> None:
    with pytest.raises(ConfigError) as refused:
        resolve_question([rec("none", 0, {"my/figure": 1})], metric="my/figure")
    assert refused.value.key == "direction"
    with pytest.raises(ConfigError) as refused:
        resolve_question([rec("none", 0, {"my/figure": 1})])
    assert (refused.value.key, refused.value.value) == ("metric", None)


def test_directions_and_counterparts() -> None:
    ups = ["test/accuracy", "test/balanced_accuracy", "test/r2"]
    downs = ["test/loss", "test/rmse", "test/ece", "test/perplexity", "gap/loss", "time/train_s"]
    assert [direction_of(m) for m in ups] == ["max"] * 3
    assert [direction_of(m) for m in downs] == ["min"] * 6
    assert validation_counterparts("test/accuracy") == ("best/val/accuracy", "val/accuracy")
    assert validation_counterparts("test/r2") == ("best/val/rmse", "val/rmse")
    assert "val/accuracy" in validation_counterparts("test/balanced_accuracy")
    assert "val/loss" in validation_counterparts("test/ece")
