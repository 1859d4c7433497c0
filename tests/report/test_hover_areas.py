"""Hover areas of charts: their texts and positions."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from reglab.report.charts import svg
from reglab.report.charts.chart import TaskChartData
from reglab.report.charts.forest import TaskForestPlot
from reglab.report.charts.learning_curves import curve_hover_areas, draw_curves
from reglab.report.charts.svg import inline_svg
from reglab.report.charts.tuning_curve import TuningCurve, draw_tuning_curves, tuning_hover_areas
from reglab.report.findings.learning_curves import ArmCurves, Curve, LearningCurves
from tests.report.runs_by_hand import NONE, UP, accuracies, analyze


def test_hover_areas_cover_the_axes_around_their_positions() -> None:
    axes = Figure(figsize=(4, 2)).add_axes((0.25, 0.25, 0.5, 0.5), xlim=(0, 10), ylim=(3, 0))
    across = svg.hover_areas(axes, [2, 4, 9], ["a", "b", "c"])
    assert [area.text for area in across] == ["a", "b", "c"]
    assert np.allclose(
        [s.box for s in across], [(0.25, 0.25, 0.15, 0.5), (0.4, 0.25, 0.175, 0.5), (0.575, 0.25, 0.175, 0.5)]
    )
    down = svg.hover_areas(axes, [0.5, 2], ["top", "bottom"], axis="y")
    low = 0.25 + 0.5 * 1.25 / 3
    assert np.allclose([s.box for s in down], [(0, 0.25, 1, low - 0.25), (0, low, 1, 0.75 - low)])


@pytest.mark.parametrize(("count", "kept"), [(1, [0]), (16, list(range(16))), (17, list(range(0, 17, 2)))])
def test_the_last_of_many_positions_is_kept(count: int, kept: list[int]) -> None:
    assert svg.spread_indices(range(count)) == kept
    assert svg.spread_indices(range(1000))[-1] == 999
    assert len(svg.spread_indices(range(1000))) <= svg.MAX_AREAS


def test_hover_texts_learning_curves_show_each_step() -> None:
    base = Curve(np.array([1, 2]), np.array([0.5, 0.6]), np.array([0.01, 0.02]))
    curve = Curve(np.array([1, 2]), np.array([0.55, 0.71234]), np.array([0.03, 0.04]))
    train = Curve(np.array([2]), np.array([0.9]), np.array([0.0]))
    curves = LearningCurves(
        "accuracy",
        [ArmCurves("l2 <2>", "l2", train, curve), ArmCurves("none", "none", None, base)],
        base,
        "none",
        2,
    )
    figure = draw_curves(curves, {"l2": "#0072b2", "none": "#555555"})
    areas = curve_hover_areas(curves, figure)
    assert [area.text.split("\n") for area in areas] == [
        ["l2 <2>, epoch 1", "validation 0.55 ± 0.03", "training –", "validation of none 0.5 ± 0.01"],
        ["l2 <2>, epoch 2", "validation 0.7123 ± 0.04", "training 0.9 ± 0", "validation of none 0.6 ± 0.02"],
        ["none, epoch 1", "validation 0.5 ± 0.01"],
        ["none, epoch 2", "validation 0.6 ± 0.02"],
    ]
    page = inline_svg(figure, "x", "curves", areas=areas)
    assert page.count('<rect class="hover"') == 4
    assert "l2 &lt;2&gt;, epoch 2\nvalidation 0.7123" in page
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', page)[0])
    x, y, w, h = map(
        float, re.findall(r'<rect class="hover" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', page)[0]
    )
    left, bottom, wide, tall = figure.axes[0].get_position().bounds
    assert (x, w) == pytest.approx((left * width, wide / 2 * width), abs=0.1)
    assert (y, h) == pytest.approx(((1 - bottom - tall) * height, tall * height), abs=0.1)


def test_hover_texts_a_forest_plot_show_difference_and_verdict() -> None:
    findings = analyze(accuracies({"none": NONE, "l1": UP}))
    colours = {"l1": "#0072b2", "none": "#555555"}
    (chart,) = TaskForestPlot().draw(TaskChartData(findings.tasks[0], findings.question, colours, []))
    (area,) = chart.hover_areas
    difference, pairs, verdict = area.text.split("\n")
    assert difference == "l1: +0.053 [+0.033, +0.073]"
    assert re.findall(r"[0-9.]+", pairs) == ["6", "0.031", "0.031"]
    assert verdict == "helps"
    assert area.box[0] == 0
    assert area.box[2] == 1


def test_hover_texts_tuning_curves_show_all_strategies() -> None:
    lines = [
        TuningCurve("none", "#555555", [0.5, 0.6], [0.4, None], 1.0),
        TuningCurve("sam", "#0072b2", [0.7, 0.8], [0.6, 0.7], 2.0),
    ]
    figure = draw_tuning_curves(lines, "expected best", "test of it")
    texts = [area.text for area in tuning_hover_areas(lines, figure)]
    assert texts[:2] == ["1 trial\nsam 0.7\nnone 0.5", "2 trials\nsam 0.8\nnone 0.6"]
    assert len(texts) == 2 * (2 + svg.MAX_AREAS)
    by_seconds = texts[2 : 2 + svg.MAX_AREAS]
    assert by_seconds[0] == "0.25 s of training"
    assert by_seconds[3] == "1 s of training\nnone 0.5 (1 trial)"
    assert by_seconds[7].split("\n") == ["2 s of training", "sam 0.7 (1 trial)", "none 0.6 (2 trials)"]
    assert by_seconds[15].split("\n") == ["4 s of training", "sam 0.8 (2 trials)", "none 0.6 (2 trials)"]
    assert texts[2 + svg.MAX_AREAS : 4 + svg.MAX_AREAS] == ["1 trial\nsam 0.6\nnone 0.4", "2 trials\nsam 0.7"]
