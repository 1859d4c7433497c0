"""Strips of a chart that tell something when hovered over: what a curve is at that step, what a row comes to."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STRIPS = 16  # of a panel at most: each is a part of the page


@dataclass(frozen=True)
class Spot:
    """A rectangle of the figure and what it tells, which may have several lines.

    Attributes:
        box: left, top, width and height, as shares of the figure.
    """

    box: tuple[float, float, float, float]
    told: str


def some(places: Sequence[float]) -> list[int]:
    """Numbers of at most `STRIPS` of the places, evenly spread, the last among them."""
    step = -(-len(places) // STRIPS)
    return list(range(len(places) - 1, -1, -step))[::-1]


def strips(axes: "Axes", places: Sequence[float], told: Sequence[str], along: Literal["x", "y"] = "x") -> list[Spot]:
    """A strip around each place on a linear axis, up to the middle between neighbours; together they fill the axes.

    Args:
        axes: with limits that stay.
        places: in the axis' own units, in ascending order.
        told: a text for each.
        along: the axis of the places; strips along `y` are as wide as the figure, since rows have names and figures.
    """
    x0, y0, width, height = map(float, axes.get_position().bounds)
    first, last = map(float, axes.get_xlim() if along == "x" else axes.get_ylim()[::-1])
    inner = [(a + b) / 2 for a, b in pairwise(places)]
    edges = [(edge - first) / (last - first) for edge in (first, *inner, last)]
    spots = []
    for (low, high), text in zip(pairwise(edges), told, strict=True):
        if along == "x":
            box = x0 + low * width, 1 - y0 - height, (high - low) * width, height
        else:
            box = 0.0, 1 - y0 - height + low * height, 1.0, (high - low) * height
        spots.append(Spot(box, text))
    return spots


def elements(spots: Sequence[Spot], width: float, height: float) -> str:
    """The strips as SVG on a figure of that size, in its units."""
    made = []
    for spot in spots:
        x, y, w, h = (share * of for share, of in zip(spot.box, (width, height, width, height), strict=True))
        box = f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"'
        made.append(f'<rect class="spot" {box}><title>{html.escape(spot.told)}</title></rect>')
    return "".join(made)
