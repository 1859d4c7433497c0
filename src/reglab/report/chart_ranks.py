"""The critical-difference diagram: mean ranks on a line, bars over strategies that are not told apart (Demsar 2006)."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from reglab.report import style
from reglab.report.many_tasks import ManyTasks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_AXIS = 0.46  # inches from the top
_BAR, _GAP = 0.12, 0.16  # inches between bars, and around them
_LABEL = "mean rank over data sets (1 is best)"


def ranks(many: ManyTasks, colours: Mapping[str, str]) -> "Figure":
    """Mean ranks with the best at the left; a bar's dots are the strategies that it joins. No bars where all is open.

    Args:
        colours: by strategy.
    """
    from matplotlib.figure import Figure

    groups = [] if many.too_few else many.groups
    half = (len(many.strategies) + 1) // 2
    told = [style.wrap(f"{name} {rank:.2f}") for name, rank in zip(many.strategies, many.ranks, strict=True)]
    side = style.text_width(told) + 0.3
    low, high = math.floor(many.ranks[0]), max(math.ceil(many.ranks[-1]), math.floor(many.ranks[0]) + 1)
    scale = (style.WIDTH - 2 * side) / (high - low)
    places = [side + (rank - low) * scale for rank in many.ranks]
    first = _AXIS + _GAP + _BAR * len(groups) + 0.06
    # From the outside to the middle, so that no two lines cross.
    left = _rows(told, range(half), first)
    right = _rows(told, range(len(told) - 1, half - 1, -1), first)
    height = max(y + style.LINE * style.lines_of(told[i]) / 2 for i, y in (left | right).items()) + 0.08
    with style.look():
        figure = Figure(figsize=(style.WIDTH, height))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, style.WIDTH), ylim=(height, 0))
        axes.set_axis_off()
        _scale(axes, low, high, side, scale)
        for i, y in (left | right).items():
            edge, align = (side - 0.1, "right") if i in left else (style.WIDTH - side + 0.1, "left")
            axes.plot((places[i], places[i], edge), (_AXIS, y, y), color=style.MUTED, linewidth=0.8, zorder=1)
            axes.text(edge + (-0.06 if i in left else 0.06), y, told[i], ha=align, va="center")
            axes.plot(places[i], _AXIS, "o", color=colours[many.strategies[i]], markersize=7, zorder=4,
                      markeredgecolor=style.PAPER, markeredgewidth=0.6)  # fmt: skip
        for i, group in enumerate(groups):
            joined = [places[many.strategies.index(name)] for name in group]
            heights = [_AXIS + _GAP + _BAR * i] * len(group)
            axes.plot(joined, heights, "o-", color=style.INK, linewidth=2.6, markersize=4.6, zorder=3)
    return figure


def _rows(names: list[str], order: range, top: float) -> dict[int, float]:
    """The height of each name's middle, in inches from the top."""
    rows = {}
    for i in order:
        tall = style.LINE * style.lines_of(names[i]) + 0.08
        rows[i] = top + tall / 2
        top += tall
    return rows


def _scale(axes: "Axes", low: int, high: int, start: float, scale: float) -> None:
    step = -(-(high - low) // 12)
    axes.plot((start, start + (high - low) * scale), (_AXIS, _AXIS), color=style.INK, linewidth=1, zorder=2)
    for tick in range(low, high + 1, step):
        x = start + (tick - low) * scale
        axes.plot((x, x), (_AXIS - 0.07, _AXIS), color=style.INK, linewidth=0.8)
        axes.text(x, _AXIS - 0.16, str(tick), ha="center", va="center", size=style.SIZE - 1)
    axes.text(style.WIDTH / 2, 0.12, _LABEL, ha="center", va="center")
