"""Chart kinds: their registry, conditions and content."""

import math
from collections.abc import Sequence

import pytest

from reglab.report.charts.chart import ChartKind, TaskChartData
from reglab.report.charts.drawing import OVERALL_CHARTS, TASK_CHARTS
from reglab.report.charts.strips import CalibrationChart, CostChart, GapChart, SeedsChart, StripChart
from reglab.report.findings.learning_curves import learning_curves
from reglab.report.question import resolve_question
from reglab.report.records import History
from tests.report.runs_by_hand import NONE, UP, Rec, accuracies, analyze
from tests.report.study_by_hand import Lab, small

COLOURS = {"none": "#7a828c", "l1": "#0072b2", "l2": "#009e73", "dropout": "#d55e00"}
METRICS = {"test/ece": 0.1, "test/loss": 0.9, "train/loss": 0.5, "val/accuracy": 0.7, "time/train_s": 2.0}


def histories(run_ids: list[str], metrics: list[str]) -> dict[str, dict[str, History]]:
    return {metric: {run_id: [(1, 0.5), (2, 0.6)] for run_id in run_ids} for metric in metrics}


def data(records: list[Rec]) -> TaskChartData:
    question = resolve_question(records)
    task = analyze(records).tasks[0]
    return TaskChartData(task, question, COLOURS, learning_curves(task, question, histories))  # type: ignore[arg-type]


def study_data(lab: Lab) -> TaskChartData:
    return TaskChartData(lab.task(), resolve_question(lab.records), COLOURS, [])


def measured(**extra_metrics: float) -> list[Rec]:
    records = accuracies({"none": NONE, "l1": UP})
    for record in records:
        record.metrics.update(METRICS | extra_metrics)
    return records


@pytest.mark.parametrize("kinds", [TASK_CHARTS, OVERALL_CHARTS])
def test_names_of_files_and_orders_are_unique(kinds: Sequence[ChartKind]) -> None:
    names = [kind.name for kind in kinds]
    assert len(set(names)) == len({kind.order for kind in kinds}) == len(names)
    assert all(kind.title for kind in kinds)


def test_charts_of_what_was_tracked_are_drawn_in_the_order_of_the_registry() -> None:
    drawn = [
        chart.name for kind in TASK_CHARTS if kind.applies(data(measured())) for chart in kind.draw(data(measured()))
    ]
    assert drawn == ["differences", "seeds", "curves-accuracy", "curves-loss", "gap", "calibration", "cost"]
    bare = data(accuracies({"none": NONE, "l1": UP}))
    assert [kind.name for kind in TASK_CHARTS if kind.applies(bare)] == ["differences", "seeds"]


def test_charts_of_a_study_are_its_responses_and_tuning_curves() -> None:
    assert {"response", "growth"} <= {kind.name for kind in TASK_CHARTS if kind.applies(study_data(small()))}
    pruned = small()
    pruned.definition = {"pruning": {"eta": 2, "rungs": 2}}  # scores of different training lengths
    assert "growth" not in {kind.name for kind in TASK_CHARTS if kind.applies(study_data(pruned))}


def test_every_chart_describes_itself() -> None:
    for chart_data in (data(measured()), study_data(small())):
        for kind in TASK_CHARTS:
            for chart in kind.draw(chart_data) if kind.applies(chart_data) else []:
                assert chart.name.startswith(kind.name)
                assert chart.title.startswith(kind.title)
                assert chart.caption.endswith(".")


@pytest.mark.parametrize(
    ("chart", "value"), [(SeedsChart(), NONE[0]), (GapChart(), 0.4), (CalibrationChart(), 0.1), (CostChart(), 2.0)]
)
def test_values_of_strip_charts(chart: StripChart, value: float) -> None:
    chart_data = data(measured())
    none = next(arm for arm in chart_data.task_findings.table.arms if arm.strategy == "none")
    assert chart.value(none.runs["0", "0"], chart_data) == pytest.approx(value)


def test_the_tracked_gap_is_preferred_and_infinity_is_no_value() -> None:
    chart_data = data(measured(**{"gap/loss": 0.1}))
    assert GapChart().value(chart_data.task_findings.table.records[0], chart_data) == 0.1
    infinite = data(measured(**{"test/loss": math.inf}))
    assert not GapChart().applies(infinite)


def test_the_cost_is_relative_to_the_baseline() -> None:
    records = measured()
    for record in records:
        record.metrics["time/train_s"] = 3.0 if record.tags["strategy"] == "l1" else 2.0
    assert "Relative to none: l1 × 1.50." in CostChart().caption(data(records))
    assert CostChart.from_zero
