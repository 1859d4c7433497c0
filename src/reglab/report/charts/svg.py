"""Charts as PNG files, and as SVG elements that follow the theme of the page and show texts on hovering."""

import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from reglab.report.charts import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_AREAS = 16  # hover areas of a panel: each adds to the size of the page
_POINTS = 72  # per inch in matplotlib's SVG
_THEME = {style.INK: "var(--ink)", style.MUTED: "var(--muted)", style.GRID: "var(--grid)", style.PAPER: "var(--paper)"}
_THEME |= {light: f"var(--c{i})" for i, (light, _) in enumerate(style.PALETTE)}


@dataclass(frozen=True)
class HoverArea:
    """A rectangle of a figure with the text that is shown on hovering over it.

    Attributes:
        box: left, top, width and height, as shares of the figure.
        text: one or more lines.
    """

    box: tuple[float, float, float, float]
    text: str


def hover_areas(
    axes: "Axes", positions: Sequence[float], texts: Sequence[str], axis: Literal["x", "y"] = "x"
) -> list[HoverArea]:
    """Return an area around each position on a linear axis, up to the middle between neighbours; they fill the axes.

    Args:
        axes: axes with their final limits.
        positions: in data coordinates, ascending.
        texts: one for each position.
        axis: axis of the positions; areas along ``y`` span the whole figure, including labels at both sides.
    """
    x0, y0, width, height = map(float, axes.get_position().bounds)
    first, last = map(float, axes.get_xlim() if axis == "x" else axes.get_ylim()[::-1])
    middles = [(a + b) / 2 for a, b in pairwise(positions)]
    edges = [(edge - first) / (last - first) for edge in (first, *middles, last)]
    areas = []
    for (low, high), text in zip(pairwise(edges), texts, strict=True):
        if axis == "x":
            box = x0 + low * width, 1 - y0 - height, (high - low) * width, height
        else:
            box = 0.0, 1 - y0 - height + low * height, 1.0, (high - low) * height
        areas.append(HoverArea(box, text))
    return areas


def spread_indices(positions: Sequence[float]) -> list[int]:
    """Return at most `MAX_AREAS` evenly spread indices of a sequence of positions, including the last."""
    step = -(-len(positions) // MAX_AREAS)
    return list(range(len(positions) - 1, -1, -step))[::-1]


def save_png(figure: "Figure", path: Path) -> None:
    """Write a figure as a PNG file with a white background."""
    with style.chart_style():
        figure.savefig(path, dpi=style.DPI, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 1})


def inline_svg(
    figure: "Figure",
    name: str,
    label: str,
    dot_texts: Mapping[str, Sequence[str]] | None = None,
    areas: Sequence[HoverArea] = (),
) -> str:
    """Return a figure as an ``<svg>`` element that follows the theme of the page.

    Args:
        figure: a chart.
        name: prefix of all ids, unique on the page.
        label: description for screen readers.
        dot_texts: texts shown on hovering over the dots of a scatter, by its gid.
        areas: other areas with texts, above all that is drawn.
    """
    buffer = io.StringIO()
    with style.chart_style():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for gid, texts in (dot_texts or {}).items():
        text = _add_titles(text, gid, texts)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    text = use_theme_colours(text)
    text = re.sub(r"font: (?:([\d.]+)px|[^;\"]*?([\d.]+)px) [^;\"]*", r"font-size: \1\2px", text)
    text = re.sub(r' xmlns:xlink="[^"]*"| xmlns="[^"]*"| version="[^"]*"', "", text).replace("xlink:href", "href")
    head, rest = text.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    if areas:
        width, height = figure.get_size_inches() * _POINTS
        rest = rest.replace("</svg>", f"{areas_as_svg(areas, width, height)}</svg>")
    return f'{head} role="img" aria-label="{html.escape(label)}">{rest}'


def areas_as_svg(areas: Sequence[HoverArea], width: float, height: float) -> str:
    """Return hover areas as SVG elements, for a figure of a width and height in points."""
    elements = []
    for area in areas:
        x, y, w, h = (share * size for share, size in zip(area.box, (width, height, width, height), strict=True))
        box = f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"'
        elements.append(f'<rect class="hover" {box}><title>{html.escape(area.text)}</title></rect>')
    return "".join(elements)


def use_theme_colours(text: str) -> str:
    """Return SVG or a colour with the colours of charts replaced by CSS variables of the page."""
    for colour, variable in _THEME.items():
        text = text.replace(colour, variable)
    return text


def _add_titles(text: str, gid: str, titles: Sequence[str]) -> str:
    """Return SVG with a title in each dot of the scatter with this gid."""
    start = text.find(f'id="{gid}"')
    if start < 0:
        return text
    remaining = iter(titles)

    def add(match: re.Match[str]) -> str:
        title = next(remaining, None)
        return match[0] if title is None else f"{match[1]}><title>{html.escape(title)}</title></use>"

    # The dots follow each other after the definitions of the group.
    return text[:start] + re.sub(r"(<use [^>]*?)/>", add, text[start:], count=len(titles))
