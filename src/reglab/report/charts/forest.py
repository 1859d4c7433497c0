"""Forest plots: paired differences from the baseline with confidence intervals, one row for each entry."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from reglab.report.charts import style
from reglab.report.charts.chart import (
    Chart,
    OverallChartData,
    TaskChartData,
    describe_difference,
    overall_chart,
    task_chart,
)
from reglab.report.charts.svg import hover_areas
from reglab.report.findings.leaderboard import Entry, decimal_places
from reglab.report.number_format import format_interval, format_p, format_signed
from reglab.report.question import Question

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

_DIFFERENCE = "difference [95 %]"
_HEAD = 0.26  # inches above the rows
_SMALL = style.SIZE - 1


@task_chart
class TaskForestPlot:
    """Differences of one task, paired by seed."""

    name = "differences"
    title = "Paired differences"
    order = 10

    def applies(self, data: TaskChartData) -> bool:
        """Return whether any entry was compared with the baseline."""
        return _has_differences(data.task_findings.entries)

    def draw(self, data: TaskChartData) -> list[Chart]:
        """Return one chart."""
        return [_forest_chart(self.name, self.title, data.task_findings.entries, data.question, data.colours, "seeds")]


@overall_chart
class OverallForestPlot:
    """Differences over several tasks, paired by data set."""

    name = "differences"
    title = "Paired differences"
    order = 20

    def applies(self, data: OverallChartData) -> bool:
        """Return whether any entry was compared with the baseline."""
        return _has_differences(data.findings.overall or [])

    def draw(self, data: OverallChartData) -> list[Chart]:
        """Return one chart."""
        entries = data.findings.overall or []
        return [_forest_chart(self.name, self.title, entries, data.findings.question, data.colours, "data sets")]


def forest_plot(entries: Sequence[Entry], colours: Mapping[str, str], label: str, digits: int) -> "Figure":
    """Return a figure with mean differences, their 95 % intervals and adjusted p; filled dots are claimed differences.

    Args:
        entries: each with a difference.
        colours: colour of each strategy.
        label: label of the x axis.
        digits: decimals of the numbers.
    """
    from matplotlib.ticker import MaxNLocator

    numbers = [
        f"{format_signed(e.diff, digits)} {format_interval(e.diff_interval, digits, sign=True)}" for e in entries
    ]
    right = style.text_width([*numbers, _DIFFERENCE]) * 0.9 + 0.95
    with style.chart_style():
        names = [entry.label for entry in entries]
        figure, axes, centres = style.row_chart(names, label, row_height=0.3, head=_HEAD, right=right)
        axes.axvline(0, color=style.MUTED, linewidth=1)
        for entry, y, text in zip(entries, centres, numbers, strict=True):
            _draw_interval(axes, entry, y, colours[entry.strategy])
            axes.text(1.03, y, text, transform=axes.get_yaxis_transform(), va="center", size=_SMALL)
            axes.text(1, y, format_p(entry.p_holm), transform=_from_right(figure, axes), va="center", ha="right",
                      size=_SMALL)  # fmt: skip
        axes.text(1.03, -0.12, _DIFFERENCE, transform=axes.get_yaxis_transform(), color=style.MUTED, size=_SMALL,
                  va="center")  # fmt: skip
        axes.text(1, -0.12, "p (Holm)", transform=_from_right(figure, axes), ha="right", color=style.MUTED,
                  size=_SMALL, va="center")  # fmt: skip
        _include_zero(axes)
        axes.xaxis.set_major_locator(MaxNLocator(max(2, int(axes.get_position().width * style.WIDTH / 0.6))))
    return figure


def _has_differences(entries: Sequence[Entry]) -> bool:
    return any(entry.diff is not None for entry in entries) and any(entry.baseline for entry in entries)


def _forest_chart(
    name: str,
    title: str,
    entries: Sequence[Entry],
    question: Question,
    colours: Mapping[str, str],
    unit: str,
) -> Chart:
    """Return a forest plot of a leaderboard; `unit` is the unit of the pairs, in the plural."""
    tested = [entry for entry in entries if entry.diff is not None]
    base = next(entry for entry in entries if entry.baseline)
    better = "right is better" if question.higher else "left is better"
    label = f"{question.metric} minus that of {base.label}, paired by {unit[:-1]} ({better})"
    digits = decimal_places(entries)
    figure = forest_plot(tested, colours, label, digits)
    caption = (
        f"Mean difference from {base.label} over paired {unit}, with its 95 % interval. Filled dots: the verdict is "
        "“helps” or “hurts”."
    )
    (axes,) = figure.axes
    texts = [describe_difference(entry, digits) for entry in tested]
    areas = hover_areas(axes, [float(y) for y in axes.get_yticks()], texts, axis="y")
    return Chart(name, title, caption, figure, hover_areas=areas)


def _draw_interval(axes: "Axes", entry: Entry, y: float, colour: str) -> None:
    if entry.diff_interval:
        axes.plot(entry.diff_interval, (y, y), color=colour, linewidth=2, solid_capstyle="round")
    axes.plot(entry.diff or 0.0, y, "o", markersize=6.5, color=colour, markeredgewidth=1.6,
              markerfacecolor=colour if entry.verdict.is_difference else style.PAPER)  # fmt: skip


def _include_zero(axes: "Axes") -> None:
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.05 * (high - low)), max(high, 0.05 * (high - low)))


def _from_right(figure: "Figure", axes: "Axes") -> "Transform":
    """Return a transform: x in shares of the figure less a margin, y in data coordinates."""
    from matplotlib.transforms import Affine2D, blended_transform_factory

    shift = Affine2D().translate(-0.1 / style.WIDTH, 0)
    return blended_transform_factory(shift + figure.transFigure, axes.transData)
