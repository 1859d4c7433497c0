"""All kinds of charts, in the order of the page. A new kind is a module of this package and a line here."""

from reglab.report.charts.chart import ChartKind, OverallChartData, TaskChartData
from reglab.report.charts.factor_plot import FactorPlot
from reglab.report.charts.forest import OverallForestPlot, TaskForestPlot
from reglab.report.charts.learning_curves import LearningCurvesChart
from reglab.report.charts.rank_diagram import RankDiagram
from reglab.report.charts.response import ResponseChart
from reglab.report.charts.strips import CalibrationChart, CostChart, GapChart, SeedsChart
from reglab.report.charts.tuning_curve import TuningCurveChart

TASK_CHARTS: tuple[ChartKind[TaskChartData], ...] = (
    TaskForestPlot(),
    SeedsChart(),
    ResponseChart(),
    LearningCurvesChart(),
    GapChart(),
    CalibrationChart(),
    CostChart(),
    TuningCurveChart(),
)
OVERALL_CHARTS: tuple[ChartKind[OverallChartData], ...] = (
    FactorPlot(),
    OverallForestPlot(),
    RankDiagram(),
)
