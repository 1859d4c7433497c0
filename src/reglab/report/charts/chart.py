"""The protocol of charts: the declaration of a kind of chart, its data, and the chart that it returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from reglab.report.charts.svg import HoverArea
from reglab.report.findings.findings import Findings, TaskFindings
from reglab.report.findings.leaderboard import Entry
from reglab.report.findings.learning_curves import LearningCurves
from reglab.report.number_format import format_interval, format_p, format_signed
from reglab.report.question import Question
from reglab.schema.text import pluralize

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Chart:
    """A chart that was drawn.

    Attributes:
        name: stem of its PNG file, unique among the charts of a task.
        title, caption: text above the chart on the page.
        figure: the drawing.
        dot_texts: texts shown on hovering over the dots of a scatter, by its gid.
        hover_areas: other areas with texts.
    """

    name: str
    title: str
    caption: str
    figure: "Figure"
    dot_texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    hover_areas: Sequence[HoverArea] = ()


@dataclass(frozen=True)
class TaskChartData:
    """Data of the charts of one task; sent to the process that draws them.

    Attributes:
        task_findings: the findings of the task.
        question: metric, direction and baseline.
        colours: colour of each strategy.
        curves: learning curves, one for each metric.
    """

    task_findings: TaskFindings
    question: Question
    colours: Mapping[str, str]
    curves: Sequence[LearningCurves]


@dataclass(frozen=True)
class OverallChartData:
    """Data of the charts over several tasks: all findings, and colours by strategy."""

    findings: Findings
    colours: Mapping[str, str]


Data = TypeVar("Data", TaskChartData, OverallChartData, contravariant=True)


class ChartKind(Protocol[Data]):
    """A kind of chart.

    Attributes:
        name: stem of the PNG file; kinds with several charts append to it.
        title: heading; kinds with several charts append to it.
        order: position on the page, the smallest first.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def order(self) -> int: ...

    def applies(self, data: Data) -> bool:
        """Return whether there is data to draw."""
        ...

    def draw(self, data: Data) -> list[Chart]:
        """Return the charts; called only if the kind applies."""
        ...


TASK_CHART_KINDS: list[ChartKind[TaskChartData]] = []
OVERALL_CHART_KINDS: list[ChartKind[OverallChartData]] = []
TaskChartKind = TypeVar("TaskChartKind", bound=ChartKind[TaskChartData])
OverallChartKind = TypeVar("OverallChartKind", bound=ChartKind[OverallChartData])


def task_chart(kind: type[TaskChartKind]) -> type[TaskChartKind]:
    """Register a kind of chart of one task, as a decorator."""
    TASK_CHART_KINDS.append(kind())
    return kind


def overall_chart(kind: type[OverallChartKind]) -> type[OverallChartKind]:
    """Register a kind of chart over several tasks, as a decorator."""
    OVERALL_CHART_KINDS.append(kind())
    return kind


def describe_difference(entry: Entry, digits: int, suffix: str = "") -> str:
    """Return a hover text with difference, test and verdict in three lines; `suffix` follows the strategy."""
    return (
        f"{entry.label}{suffix}: {format_signed(entry.diff, digits)} "
        f"{format_interval(entry.diff_interval, digits, sign=True)}\n"
        f"{pluralize(entry.pairs, 'pair')}, p {format_p(entry.p)}, after Holm’s correction {format_p(entry.p_holm)}\n"
        f"{entry.verdict}{f': {entry.reason}' if entry.reason else ''}"
    )
