"""Factor plot: differences between strategies against the setting in which tasks differ."""

import json
import re

import pytest

from reglab.report.charts.chart import Chart, OverallChartData
from reglab.report.charts.factor_plot import FactorPlot, factor_series
from reglab.report.charts.style import strategy_colours
from reglab.report.findings.findings import Findings
from tests.report.runs_by_hand import NONE, Rec, accuracies, analyze

COLOURS = strategy_colours(["l1", "l2", "none"], "none")


def runs(data: str, key: str, value: object, by: float, **extra_tags: object) -> list[Rec]:
    """Return runs of one task with a setting, where l1 is better than none by `by` and l2 is worse."""
    values = {"none": NONE, "l1": [v + by for v in NONE], "l2": [v - by for v in NONE]}
    about = json.dumps({key: value, **extra_tags})
    return accuracies(values, data=data, setting=f"{value}{extra_tags}", about=about)


def draw(findings: Findings) -> list[Chart]:
    data = OverallChartData(findings, COLOURS)
    assert FactorPlot().applies(data)
    return FactorPlot().draw(data)


def noises(*shares: float, **extra_tags: object) -> Findings:
    return analyze(
        [rec for noise in shares for rec in runs("digits", "data.label_noise", noise, 0.1 - noise / 10, **extra_tags)]
    )


def test_tasks_that_differ_in_one_number_are_ordered_by_it() -> None:
    (series,) = factor_series(noises(0.4, 0.0, 0.1, model="mlp").tasks)
    assert (series.data, series.factor, series.values) == ("digits", "label_noise", [0.0, 0.1, 0.4])
    assert [task.task.about["label_noise"] for task in series.tasks] == ["0.0", "0.1", "0.4"]
    assert [(value, line.diff) for value, line in series.entries("l1")] == [
        (0.0, pytest.approx(0.1)),
        (0.1, pytest.approx(0.09)),
        (0.4, pytest.approx(0.06)),
    ]
    assert series.entries("none") == []


def test_tasks_that_differ_otherwise_have_no_order() -> None:
    assert factor_series(noises(0.0, 0.4).tasks) == []  # two points
    by_name = [rec for model in ("mlp", "cnn", "gru") for rec in runs("digits", "model.name", model, 0.1)]
    assert factor_series(analyze(by_name).tasks) == []
    two = [rec for i in range(3) for rec in runs("digits", "data.label_noise", i / 10, 0.1, **{"data.train_size": i})]
    assert factor_series(analyze(two).tasks) == []
    apart = [rec for i, data in enumerate("abc") for rec in runs(data, "data.label_noise", i / 10, 0.1)]
    assert factor_series(analyze(apart).tasks) == []
    unset = [rec for noise in (None, 0.1, 0.2) for rec in runs("digits", "data.label_noise", noise, 0.1)]
    assert factor_series(analyze(unset).tasks) == []


def test_each_data_set_has_a_chart() -> None:
    tasks = [(data, size) for data in ("digits", "wine") for size in (100, 300, 1000)]
    both = [rec for data, size in tasks for rec in runs(data, "data.train_size", size, 0.1)]
    charts = draw(analyze(both))
    assert [(chart.name, chart.title) for chart in charts] == [
        ("by-train_size-digits", "Differences by train_size"),
        ("by-train_size-wine", "Differences by train_size"),
    ]


def test_a_panel_shows_each_difference() -> None:
    findings = noises(0.0, 0.1, 0.4)
    (chart,) = draw(findings)
    assert "up is better" in chart.caption
    first, second = chart.figure.axes
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["l1", "l2"]
    places, differences = first.lines[1].get_data()
    assert list(places) == [0.0, 0.1, 0.4]
    assert list(differences) == pytest.approx([0.1, 0.09, 0.06])
    assert [text.get_text() for text in first.get_xticklabels()] == ["0", "0.1", "0.4"]
    (series,) = factor_series(findings.tasks)
    row = [line for _, line in series.entries("l1")]
    assert len(chart.hover_areas) == 6
    head, pairs, verdict = chart.hover_areas[1].text.split("\n")
    assert head.startswith("l1, label_noise 0.1: ")
    assert [float(number) for number in re.findall(r"\+([0-9.]+)", head)] == pytest.approx([0.09] * 3)
    assert re.findall(r"[0-9.]+", pairs) == ["6", "0.031", "0.062"]
    assert verdict == "too few seeds to tell"
    low, high = first.get_ylim()
    assert all(low < edge < high for line in row for edge in line.diff_interval or ())


def test_a_wide_range_has_a_logarithmic_scale() -> None:
    sizes = analyze([rec for size in (100, 1000, 10_000) for rec in runs("digits", "data.train_size", size, 0.1)])
    (chart,) = draw(sizes)
    assert list(chart.figure.axes[0].lines[1].get_xdata()) == pytest.approx([2, 3, 4])
    assert [text.get_text() for text in chart.figure.axes[0].get_xticklabels()] == ["100", "1000", "10000"]
