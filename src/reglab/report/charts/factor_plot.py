"""Differences from the baseline as a function of a number in which tasks differ, for example the label noise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reglab.report.charts import style
from reglab.report.charts.chart import Chart, OverallChartData, describe_difference, overall_chart
from reglab.report.charts.svg import HoverArea, hover_areas
from reglab.report.findings.findings import TaskFindings
from reglab.report.findings.leaderboard import Entry, decimal_places

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PANELS = 12
_MIN_TASKS = 3  # two points show no trend
_FOOT = 0.46  # inches below the panels
_LOG_RATIO = 10.0  # ratio of the last to the first value above which the scale is logarithmic
_MAX_TICKS = 5


@dataclass(frozen=True)
class FactorSeries:
    """Tasks of one data set that differ in one number only.

    Attributes:
        data: name of the data set.
        factor: name of the number, as in the names of the tasks.
        values: values of the factor, ascending.
        tasks: one for each value.
    """

    data: str
    factor: str
    values: list[float]
    tasks: list[TaskFindings]

    def entries(self, strategy: str) -> list[tuple[float, Entry]]:
        """Return (value, entry) for the tasks in which a strategy was compared with the baseline."""
        return [
            (value, entry)
            for value, task_findings in zip(self.values, self.tasks, strict=True)
            for entry in task_findings.entries
            if entry.strategy == strategy and entry.chosen and entry.diff is not None
        ]


@overall_chart
class FactorPlot:
    """A chart for each data set with a factor."""

    name = "by"
    title = "Differences by"
    order = 10

    def applies(self, data: OverallChartData) -> bool:
        """Return whether three tasks or more differ in one number only."""
        return bool(factor_series(data.findings.tasks))

    def draw(self, data: OverallChartData) -> list[Chart]:
        """Return a chart for each data set, the best strategies first."""
        charts, findings, question = [], data.findings, data.findings.question
        for series in factor_series(findings.tasks):
            names = [n for n in dict.fromkeys(entry.strategy for entry in findings.entries) if series.entries(n)]
            if not names:
                continue
            shown = names[:MAX_PANELS]
            label = f"{question.metric}\nminus {question.baseline}"  # two lines, because panels are low
            figure = draw_factor_plot(series, shown, data.colours, label)
            better = "up is better" if question.higher else "down is better"
            caption = (
                f"On {series.data}: the mean difference from {question.baseline} over paired seeds, with its 95 % "
                f"interval ({better}). Filled dots: the verdict of that task is “helps” or “hurts”."
            )
            if len(shown) < len(names):
                caption += f" The first {len(shown)} of {len(names)} are shown."
            digits = decimal_places([entry for task_findings in series.tasks for entry in task_findings.entries])
            areas = _hover_areas(series, shown, figure, digits)
            name, title = f"{self.name}-{series.factor}-{series.data}", f"{self.title} {series.factor}"
            charts.append(Chart(name, title, caption, figure, hover_areas=areas))
        return charts


def factor_series(tasks: Sequence[TaskFindings]) -> list[FactorSeries]:
    """Return the series of every data set with three tasks or more that differ in one numeric feature only."""
    all_series = []
    for data, of_data in _group_by_data(tasks).items():
        settings = [task_findings.task.about for task_findings in of_data]
        differing = [name for name in settings[0] if len({setting.get(name) for setting in settings}) > 1]
        same_features = len({frozenset(setting) for setting in settings}) == 1
        if len(of_data) < _MIN_TASKS or not same_features or len(differing) != 1:
            continue
        factor = differing[0]
        by_value = {_parse_number(task_findings.task.about[factor]): task_findings for task_findings in of_data}
        if None not in by_value and len(by_value) == len(of_data):
            values = sorted(value for value in by_value if value is not None)
            all_series.append(FactorSeries(data, factor, values, [by_value[value] for value in values]))
    return all_series


def _group_by_data(tasks: Sequence[TaskFindings]) -> dict[str, list[TaskFindings]]:
    by_data: dict[str, list[TaskFindings]] = {}
    for task_findings in tasks:
        by_data.setdefault(task_findings.task.data, []).append(task_findings)
    return by_data


def draw_factor_plot(
    series: FactorSeries, strategies: Sequence[str], colours: Mapping[str, str], label: str
) -> "Figure":
    """Return a panel for each strategy with its paired differences and 95 % intervals; filled dots are claimed."""
    from matplotlib.ticker import MaxNLocator

    rows = [series.entries(strategy) for strategy in strategies]
    extremes = [0.0]
    for _, entry in (point for row in rows for point in row):
        extremes += [entry.diff or 0.0, *(entry.diff_interval or ())]
    y_margin = 0.06 * (max(extremes) - min(extremes)) or 1.0
    heights = min(extremes) - y_margin, max(extremes) + y_margin
    y_ticks = style.ticks_between(heights, MaxNLocator(5, steps=[1, 2, 5, 10]))
    labelled = series.values[:: -(-len(series.values) // _MAX_TICKS)]
    positions = _positions(series)
    x_margin = 0.08 * (max(positions.values()) - min(positions.values()))
    limits = {"xlim": (min(positions.values()) - x_margin, max(positions.values()) + x_margin), "ylim": heights}
    with style.chart_style():
        own_colours = [colours[strategy] for strategy in strategies]
        figure, panels = style.panel_grid(strategies, own_colours, limits, bottom_margin=_FOOT, panel_height=1.25)
        for i, (axes, row, colour) in enumerate(zip(panels, rows, own_colours, strict=True)):
            lowest = style.is_lowest(i, len(strategies))
            x_ticks = [positions[value] for value in labelled] if lowest else []
            style.set_panel_ticks(axes, x_ticks, y_ticks, labelled=style.is_leftmost(i))
            if lowest:
                axes.set_xticklabels([f"{value:g}" for value in labelled])
            x, y = [positions[value] for value, _ in row], [entry.diff or 0.0 for _, entry in row]
            axes.axhline(0, color=style.MUTED, linewidth=1, zorder=1)
            axes.plot(x, y, color=colour, linewidth=1.4, zorder=2)
            axes.scatter(x, y, s=26, linewidth=1.4, zorder=4, clip_on=False, edgecolor=colour,
                         c=[colour if entry.verdict.is_difference else style.PAPER for _, entry in row])  # fmt: skip
            bars = [(positions[value], *entry.diff_interval) for value, entry in row if entry.diff_interval]
            if bars:
                axes.vlines(*zip(*bars, strict=True), color=colour, linewidth=1.6, zorder=3)
        style.label_axes(figure, series.factor, label, bottom_margin=_FOOT)
    return figure


def _hover_areas(series: FactorSeries, strategies: Sequence[str], figure: "Figure", digits: int) -> list[HoverArea]:
    """Return hover areas with the difference of each strategy at each value."""
    positions = _positions(series)
    areas = []
    for strategy, axes in zip(strategies, figure.axes, strict=True):
        row = series.entries(strategy)
        texts = [describe_difference(entry, digits, f", {series.factor} {value:g}") for value, entry in row]
        areas += hover_areas(axes, [positions[value] for value, _ in row], texts)
    return areas


def _positions(series: FactorSeries) -> dict[float, float]:
    """Return the position of each value on the x axis, on a logarithmic scale for a wide range."""
    low, high = series.values[0], series.values[-1]
    logarithmic = low > 0 and high >= _LOG_RATIO * low
    return {value: math.log10(value) if logarithmic else value for value in series.values}


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
