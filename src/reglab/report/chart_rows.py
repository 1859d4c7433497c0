"""Charts with a row for each line of the leaderboard: the forest plot of differences, and strips of seeds."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reglab.report import hover, style
from reglab.report.hover import Spot
from reglab.report.leaderboard import Line
from reglab.report.number_format import between, p_value, signed
from reglab.report.statistics import Interval
from reglab.wording import pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

_DIFFERENCE = "difference [95 %]"
_HEAD, _FOOT, _RIGHT = 0.26, 0.46, 0.2  # inches around the rows


@dataclass(frozen=True)
class Strip:
    """One row of a strip: its dots, what hovering over each tells, their mean and its interval."""

    name: str
    colour: str
    values: list[float]
    told: list[str]
    mean: float | None
    interval: Interval | None = None


def forest(lines: Sequence[Line], colours: dict[str, str], label: str, digits: int) -> "Figure":
    """Paired differences from the baseline with their 95 % intervals; filled where significant after Holm."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = [style.wrap(line.strategy) for line in lines]
    heights = [max(0.3, style.LINE * style.lines_of(name) + 0.12) for name in names]
    left = style.text_width(names) + 0.2
    told = [f"{signed(line.diff, digits)} {between(line.diff_interval, digits, sign=True)}" for line in lines]
    right = style.text_width([*told, _DIFFERENCE]) * 0.9 + 0.95
    label = textwrap.fill(label, 76)
    foot = _FOOT + style.LINE * (style.lines_of(label) - 1)
    height = sum(heights) + _HEAD + foot
    with style.look():
        figure = Figure(figsize=(style.WIDTH, height))
        axes = figure.add_axes(_box(left, foot, style.WIDTH - left - right, sum(heights), height))
        centres = style.name_rows(axes, names, heights)
        axes.axvline(0, color=style.MUTED, linewidth=1)
        for line, y, text in zip(lines, centres, told, strict=True):
            _whisker(axes, line, y, colours[line.name])
            axes.text(1.03, y, text, transform=axes.get_yaxis_transform(), va="center", size=style.SIZE - 1)
            axes.text(1, y, p_value(line.p_holm), transform=_from_right(figure, axes), va="center", ha="right",
                      size=style.SIZE - 1)  # fmt: skip
        axes.text(1.03, -0.12, _DIFFERENCE, transform=axes.get_yaxis_transform(), color=style.MUTED,
                  size=style.SIZE - 1, va="center")  # fmt: skip
        axes.text(1, -0.12, "p (Holm)", transform=_from_right(figure, axes), ha="right", color=style.MUTED,
                  size=style.SIZE - 1, va="center")  # fmt: skip
        _room_for_zero(axes)
        axes.xaxis.set_major_locator(MaxNLocator(max(2, int((style.WIDTH - left - right) / 0.6))))
        axes.set_xlabel(label)
    return figure


def strips(
    rows: Sequence[Strip], label: str, reference: tuple[float, str] | None = None, *, from_zero: bool = False
) -> "Figure":
    """Every run as a dot; a bar at the mean, over its interval where there is one."""
    from matplotlib.figure import Figure

    names = [style.wrap(row.name) for row in rows]
    heights = [max(0.36, style.LINE * style.lines_of(name) + 0.12) for name in names]
    left = style.text_width(names) + 0.2
    head = _HEAD if reference else 0.06
    label = textwrap.fill(label, 76)
    foot = _FOOT + style.LINE * (style.lines_of(label) - 1)
    height = sum(heights) + head + foot
    with style.look():
        figure = Figure(figsize=(style.WIDTH, height))
        axes = figure.add_axes(_box(left, foot, style.WIDTH - left - _RIGHT, sum(heights), height))
        centres = style.name_rows(axes, names, heights)
        if reference is not None:
            axes.axvline(reference[0], color=style.MUTED, linewidth=0.9, dashes=(4, 3))
            axes.text(
                reference[0], -0.1, reference[1], ha="center", color=style.MUTED, size=style.SIZE - 1, va="center"
            )
        for i, (row, y) in enumerate(zip(rows, centres, strict=True)):
            count = len(row.values)
            spread = [y + 0.08 * (((7 * k) % 5) - 2) / 2 for k in range(count)]
            if row.interval:
                axes.plot(row.interval, (y, y), color=row.colour, linewidth=6, alpha=0.28, solid_capstyle="butt")
            axes.scatter(row.values, spread, s=20, color=row.colour, alpha=0.85, linewidth=0.6,
                         edgecolor=style.PAPER, gid=f"dots{i}", zorder=3)  # fmt: skip
            if row.mean is not None and count > 1:
                axes.plot((row.mean, row.mean), (y - 0.12, y + 0.12), color=style.INK, linewidth=1.6, zorder=4)
        axes.set_xlabel(label)
        axes.margins(x=0.04)
        if from_zero:
            axes.set_xlim(left=0)
    return figure


def spots(lines: Sequence[Line], figure: "Figure", digits: int) -> list[Spot]:
    """What hovering tells over each row of a forest plot."""
    (axes,) = figure.axes
    return hover.strips(axes, [float(y) for y in axes.get_yticks()], [told(line, digits) for line in lines], along="y")


def told(line: Line, digits: int, about: str = "") -> str:
    """A paired difference in three lines of text; `about` stands behind the strategy."""
    return (
        f"{line.strategy}{about}: {signed(line.diff, digits)} {between(line.diff_interval, digits, sign=True)}\n"
        f"{pluralize(line.pairs, 'pair')}, p {p_value(line.p)}, after Holm’s correction {p_value(line.p_holm)}\n"
        f"{line.verdict}{f': {line.reason}' if line.reason else ''}"
    )


def titles(rows: Sequence[Strip]) -> dict[str, list[str]]:
    """What hovering tells, by the gid of each row's dots."""
    return {f"dots{i}": row.told for i, row in enumerate(rows)}


def _whisker(axes: "Axes", line: Line, y: float, colour: str) -> None:
    if line.diff_interval:
        axes.plot(line.diff_interval, (y, y), color=colour, linewidth=2, solid_capstyle="round")
    sure = line.verdict in ("helps", "hurts")
    axes.plot(line.diff or 0.0, y, "o", markersize=6.5, color=colour, markeredgewidth=1.6,
              markerfacecolor=colour if sure else style.PAPER)  # fmt: skip


def _room_for_zero(axes: "Axes") -> None:
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.05 * (high - low)), max(high, 0.05 * (high - low)))


def _from_right(figure: "Figure", axes: "Axes") -> "Transform":
    """x in figure width less the margin, y in rows."""
    from matplotlib.transforms import Affine2D, blended_transform_factory

    shift = Affine2D().translate(-0.1 / style.WIDTH, 0)
    return blended_transform_factory(shift + figure.transFigure, axes.transData)


def _box(left: float, bottom: float, width: float, height: float, total: float) -> tuple[float, float, float, float]:
    """Inches as shares of the figure."""
    return left / style.WIDTH, bottom / total, width / style.WIDTH, height / total
