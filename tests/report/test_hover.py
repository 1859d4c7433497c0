"""What hovering over curves and rows tells, and where."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from reglab.report import chart_curves, chart_growth, hover
from reglab.report.chart_growth import Growth, growth
from reglab.report.charts import forest
from reglab.report.learning import Curve, Learning, Panel
from reglab.report.svg import inline
from tests.report.lab import NONE, UP, accuracies, found


def test_strips_fill_the_axes_and_lie_around_their_places() -> None:
    axes = Figure(figsize=(4, 2)).add_axes((0.25, 0.25, 0.5, 0.5), xlim=(0, 10), ylim=(3, 0))
    across = hover.strips(axes, [2, 4, 9], ["a", "b", "c"])
    assert [spot.told for spot in across] == ["a", "b", "c"]
    assert np.allclose(
        [s.box for s in across], [(0.25, 0.25, 0.15, 0.5), (0.4, 0.25, 0.175, 0.5), (0.575, 0.25, 0.175, 0.5)]
    )
    down = hover.strips(axes, [0.5, 2], ["top", "bottom"], along="y")
    low = 0.25 + 0.5 * 1.25 / 3
    assert np.allclose([s.box for s in down], [(0, 0.25, 1, low - 0.25), (0, low, 1, 0.75 - low)])


@pytest.mark.parametrize(("count", "kept"), [(1, [0]), (16, list(range(16))), (17, list(range(0, 17, 2)))])
def test_of_many_places_the_last_is_kept(count: int, kept: list[int]) -> None:
    assert hover.some(range(count)) == kept
    assert hover.some(range(1000))[-1] == 999
    assert len(hover.some(range(1000))) <= hover.STRIPS


def test_a_panel_tells_its_curves_and_the_baseline_step_by_step() -> None:
    base = Curve(np.array([1, 2]), np.array([0.5, 0.6]), np.array([0.01, 0.02]))
    own = Curve(np.array([1, 2]), np.array([0.55, 0.71234]), np.array([0.03, 0.04]))
    train = Curve(np.array([2]), np.array([0.9]), np.array([0.0]))
    told = Learning(
        "accuracy", [Panel("l2 <2>", "#0072b2", train, own), Panel("none", "#555555", None, base)], base, "none", 2
    )
    figure = chart_curves.curves(told)
    spots = chart_curves.spots(told, figure)
    assert [spot.told for spot in spots] == [
        "l2 <2>, epoch 1\nvalidation 0.55 ± 0.03\ntraining –\nvalidation of none 0.5 ± 0.01",
        "l2 <2>, epoch 2\nvalidation 0.7123 ± 0.04\ntraining 0.9 ± 0\nvalidation of none 0.6 ± 0.02",
        "none, epoch 1\nvalidation 0.5 ± 0.01",
        "none, epoch 2\nvalidation 0.6 ± 0.02",
    ]
    page = inline(figure, "x", "curves", spots=spots)
    assert page.count('<rect class="spot"') == 4
    assert "l2 &lt;2&gt;, epoch 2\nvalidation 0.7123" in page
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', page)[0])
    x, y, w, h = map(
        float, re.findall(r'<rect class="spot" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', page)[0]
    )
    left, bottom, wide, tall = figure.axes[0].get_position().bounds
    assert (x, w) == pytest.approx((left * width, wide / 2 * width), abs=0.1)
    assert (y, h) == pytest.approx(((1 - bottom - tall) * height, tall * height), abs=0.1)


def test_a_row_of_the_forest_tells_what_it_comes_to() -> None:
    findings = found(accuracies({"none": NONE, "l1": UP}))
    chart = forest(findings.tasks[0].lines, findings.question, {"l1": "#0072b2", "none": "#555555"}, "seeds")
    assert chart is not None
    (spot,) = chart.spots
    assert spot.told == "l1: +0.053 [+0.033, +0.073]\n6 pairs, p 0.031, after Holm’s correction 0.031\nhelps"
    assert spot.box[0] == 0
    assert spot.box[2] == 1


def test_the_growth_tells_every_strategy_at_a_budget() -> None:
    lines = [
        Growth("none", "#555555", [0.5, 0.6], [0.4, None], 1.0),
        Growth("sam", "#0072b2", [0.7, 0.8], [0.6, 0.7], 2.0),
    ]
    figure = growth(lines, "expected best", "test of it")
    told = [spot.told for spot in chart_growth.spots(lines, figure)]
    assert told[:2] == ["1 trial\nsam 0.7\nnone 0.5", "2 trials\nsam 0.8\nnone 0.6"]
    assert len(told) == 2 * (2 + hover.STRIPS)
    by_seconds = told[2 : 2 + hover.STRIPS]
    assert by_seconds[0] == "0.25 s of training"
    assert by_seconds[3] == "1 s of training\nnone 0.5 (1 trial)"
    assert by_seconds[7] == "2 s of training\nsam 0.7 (1 trial)\nnone 0.6 (2 trials)"
    assert by_seconds[15] == "4 s of training\nsam 0.8 (2 trials)\nnone 0.6 (2 trials)"
    assert told[2 + hover.STRIPS : 4 + hover.STRIPS] == ["1 trial\nsam 0.6\nnone 0.4", "2 trials\nsam 0.7"]
