"""The response to each searched value: every trial a dot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reglab.report import panels, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OFF = -0.26  # where "off" lies, in widths of the range
_FAR = 4.0  # times the distance from the best to the median: what is worse is drawn at the edge


@dataclass(frozen=True)
class Dot:
    """A trial: its place in the range (0 to 1, None: off), its score, and what hovering tells."""

    place: float | None
    score: float
    told: str
    colour: str


@dataclass(frozen=True)
class Panel:
    """One key of one strategy: `ticks` are (place, text), `chosen` is the number of a dot."""

    title: str
    colour: str
    key: str
    ticks: Sequence[tuple[float, str]]
    dots: Sequence[Dot]
    chosen: int | None


def response(shown: Sequence[Panel], label: str, *, minimized: bool) -> "Figure":
    """Small multiples on a common scale of scores: every trial a dot, the chosen one ringed."""
    from matplotlib.ticker import MaxNLocator

    low, high = limits([dot.score for panel in shown for dot in panel.dots], minimized=minimized)
    scores = style.ticks((low, high), MaxNLocator(4, steps=[1, 2, 5, 10]))
    with style.look():
        names, colours = [panel.title for panel in shown], [panel.colour for panel in shown]
        figure, drawn = panels.lay(
            names, colours, {"ylim": (low, high)}, tall=1.15, under=0.42, below=0.02, gap=0.2, widest=2.6
        )
        for i, (panel, axes) in enumerate(zip(shown, drawn, strict=True)):
            _panel(axes, panel, i, (low, high))
            places, texts = zip(*_ticks(panel), strict=True)
            panels.scale(axes, places, scores, labelled=panels.leftmost(i))
            axes.set_xticklabels(texts)
        figure.text(0.1 / style.WIDTH, 0.5, label, rotation=90, ha="left", va="center")
    return figure


def titles(shown: Sequence[Panel]) -> dict[str, list[str]]:
    """What hovering tells, by the gid of each panel's dots."""
    return {f"trials{i}": [dot.told for dot in panel.dots] for i, panel in enumerate(shown)}


def limits(scores: Sequence[float], *, minimized: bool) -> tuple[float, float]:
    """Lowest and highest score to show, with a margin: trials that went wrong altogether must not flatten the rest."""
    values = np.array(scores)
    best = values.min() if minimized else values.max()
    reach = _FAR * abs(best - float(np.median(values)))
    shown = values[np.abs(values - best) <= reach] if reach > 0 else values
    low, high = float(shown.min()), float(shown.max())
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _panel(axes: "Axes", panel: Panel, number: int, limits: tuple[float, float]) -> None:
    low, high = limits
    off = _holds_off(panel)
    if off:
        axes.axvline(_OFF / 2, color=style.GRID, linewidth=0.8, dashes=(3, 2))
    x = [_OFF + 0.025 * (i % 3 - 1) if dot.place is None else dot.place for i, dot in enumerate(panel.dots)]
    y = [min(max(dot.score, low), high) for dot in panel.dots]
    axes.scatter(x, y, s=20, c=[dot.colour for dot in panel.dots], alpha=0.85, linewidth=0.6, edgecolor=style.PAPER,
                 gid=f"trials{number}", zorder=3, clip_on=False)  # fmt: skip
    for a, dot in zip(x, panel.dots, strict=True):
        if not low <= dot.score <= high:
            below = dot.score < low
            axes.plot(a, low if below else high, "v" if below else "^", markersize=8, markerfacecolor="none",
                      markeredgecolor=dot.colour, clip_on=False, zorder=2)  # fmt: skip
    if panel.chosen is not None:
        axes.plot(x[panel.chosen], y[panel.chosen], "o", markersize=8.5, markerfacecolor="none",
                  markeredgecolor=style.INK, markeredgewidth=1.1, clip_on=False, zorder=4)  # fmt: skip
    axes.set_xlim((_OFF if off else 0) - 0.06, 1.06)
    axes.set_xlabel(panel.key, labelpad=2, size=style.SIZE - 1)


def _holds_off(panel: Panel) -> bool:
    return any(dot.place is None for dot in panel.dots)


def _ticks(panel: Panel) -> list[tuple[float, str]]:
    """Those of the range, and before them where "off" lies."""
    if not _holds_off(panel):
        return list(panel.ticks)
    apart = [tick for tick in panel.ticks if tick[0] > 0.1]  # their texts do not touch "off"
    return [(_OFF, "off"), *(apart if len(apart) > 1 else panel.ticks)]
