"""Response plots: positions, ticks and limits; importances of searched values."""

import math
from collections.abc import Mapping

import pytest

from reglab.report.charts.chart import TaskChartData
from reglab.report.charts.response import (
    Dot,
    Panel,
    ResponseChart,
    draw_response,
    position_in_range,
    range_ticks,
    score_limits,
)
from reglab.report.findings.tuning import importances
from reglab.report.question import resolve_question
from reglab.report.trials import TrialSummary, format_values
from reglab.samplers.quasi_random import point
from reglab.schema.search_space import Choice, Range, Value
from tests.report.study_by_hand import LR as LR_SPEC
from tests.report.study_by_hand import Lab

LR = Range("optimizer.lr", 1e-4, 1e-2, log=True)
P = Range("regularizer.dropout.p", 0.0, 0.8, off=0.0)
L2 = Range("regularizer.l2.strength", 1e-6, 0.1, log=True, off=0.0)
K = Choice("model.norm", ("none", "batch", "layer"))


def trial(number: int, values: Mapping[str, Value], score: float | None) -> TrialSummary:
    status = "failed" if score is None else "finished"
    return TrialSummary("t", "s", number, 0, values, score, None, 1, 1, 1.0, status, False)


def test_positions_are_shares_of_the_range() -> None:
    assert [position_in_range(LR, v) for v in (1e-4, 1e-3, 1e-2)] == pytest.approx([0, 0.5, 1])
    assert [position_in_range(P, v) for v in (0.2, 0.8)] == pytest.approx([0.25, 1])
    assert position_in_range(P, 0.0) is None
    assert position_in_range(Range("k", 0.5, 4, log=True, off=math.inf), math.inf) is None
    assert [position_in_range(K, name) for name in ("none", "batch", "layer")] == [0, 0.5, 1]


def test_ticks_are_round_values() -> None:
    assert range_ticks(LR) == [(pytest.approx(0), "1e-4"), (pytest.approx(0.5), "1e-3"), (pytest.approx(1), "0.01")]
    assert [text for _, text in range_ticks(L2)] == ["1e-6", "1e-4", "0.01"]
    assert range_ticks(P)[0] == (0, "0")
    assert [text for _, text in range_ticks(Range("k", 0.5, 4.0, log=True))] == ["0.5", "1", "2"]
    assert [text for _, text in range_ticks(Range("k", 0.3, 0.4, log=True))] == ["0.3", "0.4"]
    assert [text for _, text in range_ticks(K)] == ["none", "batch", "layer"]


def test_values_as_they_are_written() -> None:
    point: dict[str, Value] = {"optimizer.lr": 0.0022, "regularizer.dropout.p": 0.31, "model.norm": "batch"}
    assert format_values(point) == "lr=0.0022, dropout.p=0.31, model.norm=batch"


def test_outliers_do_not_determine_the_limits() -> None:
    low, high = score_limits([0.70, 0.72, 0.74, 0.76, 0.10], minimized=False)
    assert 0.69 < low < 0.70 < 0.76 < high < 0.77
    low, high = score_limits([1.0, 1.1, 1.2, 1e9], minimized=True)
    assert 0.9 < low < 1.0 < 1.2 < high < 1.3
    low, high = score_limits([0.5, 0.5], minimized=True)
    assert low < 0.5 < high


@pytest.mark.parametrize("count", [1, 2, 4])
def test_headings_fit_over_their_panels(count: int) -> None:
    names = ["dropout+weight_decay", "label_smoothing+spatial_dropout", "gaussian_dropout+gradient_clipping", "l2"]
    dots = [Dot(0.0, 0.7, "", "#0072b2"), Dot(1.0, 0.8, "", "#0072b2")]
    panels = [Panel(name, "#0072b2", "lr", [(0.0, "1e-4"), (1.0, "0.01")], dots, None) for name in names[:count]]
    figure = draw_response(panels, "val/accuracy", minimized=False)
    figure.draw_without_rendering()
    assert len(figure.axes) == count
    for axes in figure.axes:
        heading = axes._left_title  # type: ignore[attr-defined]  # get_title gives its text alone
        assert heading.get_text()
        assert heading.get_window_extent().width <= axes.bbox.width


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "bits_per_character"])
def test_the_label_of_a_single_row_of_panels_is_not_cut(metric: str) -> None:
    lab = Lab({"none": [LR_SPEC]}, definition={"select_by": [f"best/val/{metric}"]})
    for i, rate in enumerate((1e-3, 2e-4)):
        lab.tune("none", i, {"optimizer.lr": rate}, [0.7 + i / 10], chosen=i == 1, metric=metric)
    lab.confirm("none", [0.7, 0.7], [0.7, 0.6], metric)
    resolved = resolve_question(lab.records, metric=f"test/{metric}")
    data = TaskChartData(lab.task(f"test/{metric}"), resolved, {"none": "#0072b2"}, [])
    assert ResponseChart().applies(data)
    (chart,) = ResponseChart().draw(data)
    chart.figure.draw_without_rendering()
    (label,) = chart.figure.texts
    assert label.get_text().startswith(f"best/val/{metric}")
    box = label.get_window_extent()
    assert box.y0 >= 0
    assert box.y1 <= chart.figure.bbox.height


@pytest.mark.parametrize("key", ["optimizer.lr", "regularizer.dropout.p"])
def test_the_value_with_the_largest_effect_has_the_largest_importance(key: str) -> None:
    space = (LR, P)

    def score(values: Mapping[str, Value]) -> float:
        place = position_in_range(LR if key == LR.key else P, values[key]) or 0.0
        return (place - 0.3) ** 2

    points = [point(0, space, i) for i in range(32)]
    point_scores = [score(values) for values in points]
    for scores in (point_scores, [*point_scores[:-1], 1e9]):  # one outlier has little influence
        shares = importances(
            space, [trial(i, values, s) for i, (values, s) in enumerate(zip(points, scores, strict=True))]
        )
        assert shares is not None
        assert next(iter(shares)) == key
        assert shares[key] > 0.75
        assert sum(shares.values()) == pytest.approx(1)


def test_importances_need_keys_trials_and_a_difference() -> None:
    space = (LR, P)
    trials = [trial(i, point(0, space, i), i / 10) for i in range(16)]
    assert importances(space, trials) is not None
    assert importances(space, trials[:15]) is None
    assert importances(space, [*trials[:15], trial(15, point(0, space, 15), None)]) is None
    assert importances(space[:1], trials) is None
    assert importances(space, [trial(i, point(0, space, i), 0.5) for i in range(16)]) is None
