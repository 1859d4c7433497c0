"""Differences from the baseline along a number in which tasks differ: a panel for each strategy."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from reglab.report import chart_rows, hover, panels, style
from reglab.report.along import Along
from reglab.report.hover import Spot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BELOW = 0.46  # inches under the panels
_WIDE = 10.0  # times from the first to the last value: from here on the scale is logarithmic
_TICKS = 5


def differences(told: Along, strategies: Sequence[str], colours: Mapping[str, str], label: str) -> "Figure":
    """Paired differences with their 95 % intervals; filled where the verdict claims one."""
    from matplotlib.ticker import MaxNLocator

    rows = [told.lines(strategy) for strategy in strategies]
    edges = [0.0]
    for _, line in (point for row in rows for point in row):
        edges += [line.diff or 0.0, *(line.diff_interval or ())]
    margin = 0.06 * (max(edges) - min(edges)) or 1.0
    heights = min(edges) - margin, max(edges) + margin
    y_ticks = style.ticks(heights, MaxNLocator(5, steps=[1, 2, 5, 10]))
    every = -(-len(told.values) // _TICKS)
    shown = told.values[::every]
    at = _places(told)
    edge = 0.08 * (max(at.values()) - min(at.values()))
    limits = {"xlim": (min(at.values()) - edge, max(at.values()) + edge), "ylim": heights}
    with style.look():
        heads = [colours[strategy] for strategy in strategies]
        figure, drawn = panels.lay(strategies, heads, limits, below=_BELOW, tall=1.25)
        for i, (axes, row) in enumerate(zip(drawn, rows, strict=True)):
            lowest = panels.lowest(i, len(strategies))
            panels.scale(axes, [at[v] for v in shown] if lowest else [], y_ticks, labelled=panels.leftmost(i))
            if lowest:
                axes.set_xticklabels([f"{v:g}" for v in shown])
            x, y = [at[v] for v, _ in row], [line.diff or 0.0 for _, line in row]
            axes.axhline(0, color=style.MUTED, linewidth=1, zorder=1)
            axes.plot(x, y, color=heads[i], linewidth=1.4, zorder=2)
            sure = [line.verdict in ("helps", "hurts") for _, line in row]
            axes.scatter(x, y, s=26, linewidth=1.4, zorder=4, clip_on=False, edgecolor=heads[i],
                         c=[heads[i] if one else style.PAPER for one in sure])  # fmt: skip
            bars = [(at[v], *line.diff_interval) for v, line in row if line.diff_interval]
            if bars:
                axes.vlines(*zip(*bars, strict=True), color=heads[i], linewidth=1.6, zorder=3)
        panels.label_both(figure, told.feature, label, below=_BELOW)
    return figure


def spots(told: Along, strategies: Sequence[str], figure: "Figure", digits: int) -> list[Spot]:
    """What hovering tells: the difference of a panel's strategy at each value."""
    at = _places(told)
    found = []
    for strategy, axes in zip(strategies, figure.axes, strict=True):
        row = told.lines(strategy)
        texts = [chart_rows.told(line, digits, f", {told.feature} {value:g}") for value, line in row]
        found += hover.strips(axes, [at[value] for value, _ in row], texts)
    return found


def _places(told: Along) -> dict[float, float]:
    """Where each value lies: on a logarithmic scale where values are far apart."""
    low, high = told.values[0], told.values[-1]
    logarithmic = low > 0 and high >= _WIDE * low
    return {value: math.log10(value) if logarithmic else value for value in told.values}
