"""Critical-difference diagram: mean ranks on a line, bars over strategies without a significant pair (Demsar 2006)."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from reglab.report.charts import style
from reglab.report.charts.chart import Chart, OverallChartData, overall_chart
from reglab.report.number_format import format_p
from reglab.report.statistics.data_sets import DataSetComparison
from reglab.report.statistics.paired import smallest_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_AXIS = 0.46  # inches from the top
_BAR, _GAP = 0.12, 0.16  # inches between bars, and around them
_LABEL = "mean rank over data sets (1 is best)"


@overall_chart
class RankDiagram:
    """The diagram of all strategies over data sets."""

    name = "ranks"
    title = "Mean ranks"
    order = 30

    def applies(self, data: OverallChartData) -> bool:
        """Return whether there are enough strategies and data sets."""
        return isinstance(data.findings.over_data_sets, DataSetComparison)

    def draw(self, data: OverallChartData) -> list[Chart]:
        """Return one chart."""
        comparison = data.findings.over_data_sets
        assert isinstance(comparison, DataSetComparison)
        colours = {entry.label: data.colours[entry.strategy] for entry in data.findings.overall or []}
        caption = f"{comparison.test_result} {_describe_bars(comparison)}"
        return [Chart(self.name, self.title, caption, rank_diagram(comparison, colours))]


def rank_diagram(comparison: DataSetComparison, colours: Mapping[str, str]) -> "Figure":
    """Return a figure of mean ranks, best at the left; the dots of a bar are the strategies that it joins.

    Args:
        comparison: tests of all strategies; no bars are drawn if no pair can be significant.
        colours: colour of each strategy.
    """
    from matplotlib.figure import Figure

    names, ranks = comparison.strategies, comparison.ranks
    cliques = [] if comparison.too_few else comparison.cliques
    half = (len(names) + 1) // 2
    labels = [style.wrap(f"{name} {rank:.2f}") for name, rank in zip(names, ranks, strict=True)]
    side = style.text_width(labels) + 0.3
    low, high = math.floor(ranks[0]), max(math.ceil(ranks[-1]), math.floor(ranks[0]) + 1)
    scale = (style.WIDTH - 2 * side) / (high - low)
    positions = [side + (rank - low) * scale for rank in ranks]
    first = _AXIS + _GAP + _BAR * len(cliques) + 0.06
    # Labels are placed from the outside to the middle, so that no two lines cross.
    left = _label_heights(labels, range(half), first)
    right = _label_heights(labels, range(len(labels) - 1, half - 1, -1), first)
    height = max(y + style.LINE * style.count_lines(labels[i]) / 2 for i, y in (left | right).items()) + 0.08
    with style.chart_style():
        figure = Figure(figsize=(style.WIDTH, height))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, style.WIDTH), ylim=(height, 0))
        axes.set_axis_off()
        _draw_axis(axes, low, high, side, scale)
        for i, y in (left | right).items():
            edge, align = (side - 0.1, "right") if i in left else (style.WIDTH - side + 0.1, "left")
            axes.plot((positions[i], positions[i], edge), (_AXIS, y, y), color=style.MUTED, linewidth=0.8, zorder=1)
            axes.text(edge + (-0.06 if i in left else 0.06), y, labels[i], ha=align, va="center")
            axes.plot(positions[i], _AXIS, "o", color=colours[names[i]], markersize=7, zorder=4,
                      markeredgecolor=style.PAPER, markeredgewidth=0.6)  # fmt: skip
        for i, clique in enumerate(cliques):
            joined = [positions[names.index(name)] for name in clique]
            heights = [_AXIS + _GAP + _BAR * i] * len(clique)
            axes.plot(joined, heights, "o-", color=style.INK, linewidth=2.6, markersize=4.6, zorder=3)
    return figure


def _describe_bars(comparison: DataSetComparison) -> str:
    """Return a sentence on the meaning of the bars, or on the reason why there are none."""
    count = len(comparison.pairs)
    if comparison.too_few:
        smallest = format_p(min(1.0, smallest_p(comparison.data_sets) * count))
        return (
            f"No bars: with {comparison.data_sets} data sets and {count} pairs no corrected p can be below {smallest}, "
            "so no pair can be significant."
        )
    return f"Bars join strategies without a significant pair (Wilcoxon’s test, Holm-corrected for {count} pairs)."


def _label_heights(labels: list[str], order: range, top: float) -> dict[int, float]:
    """Return the middle of each label, in inches from the top."""
    heights = {}
    for i in order:
        tall = style.LINE * style.count_lines(labels[i]) + 0.08
        heights[i] = top + tall / 2
        top += tall
    return heights


def _draw_axis(axes: "Axes", low: int, high: int, start: float, scale: float) -> None:
    step = -(-(high - low) // 12)
    axes.plot((start, start + (high - low) * scale), (_AXIS, _AXIS), color=style.INK, linewidth=1, zorder=2)
    for tick in range(low, high + 1, step):
        x = start + (tick - low) * scale
        axes.plot((x, x), (_AXIS - 0.07, _AXIS), color=style.INK, linewidth=0.8)
        axes.text(x, _AXIS - 0.16, str(tick), ha="center", va="center", size=style.SIZE - 1)
    axes.text(style.WIDTH / 2, 0.12, _LABEL, ha="center", va="center")
