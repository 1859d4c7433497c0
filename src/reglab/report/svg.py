"""Figures as files and as parts of the page."""

import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reglab.report import hover, style
from reglab.report.hover import Spot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_THEME = {style.INK: "var(--ink)", style.MUTED: "var(--muted)", style.GRID: "var(--grid)", style.PAPER: "var(--paper)"}
_THEME |= {light: f"var(--c{i})" for i, (light, _) in enumerate(style.PALETTE)}

_POINTS = 72  # an inch in matplotlib's SVG


def save_png(figure: "Figure", path: Path) -> None:
    """The figure as a PNG file on white."""
    with style.look():
        figure.savefig(path, dpi=style.DPI, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 1})


def inline(
    figure: "Figure",
    name: str,
    label: str,
    titles: Mapping[str, Sequence[str]] | None = None,
    spots: Sequence[Spot] = (),
) -> str:
    """The figure as an `<svg>` element that follows the page's theme.

    Args:
        name: prefix of all ids, unique on the page.
        label: what the chart shows, for those who do not see it.
        titles: by the gid of a scatter, what hovering over each of its dots tells.
        spots: other places of the figure that tell something, above all else that is drawn.
    """
    out = io.StringIO()
    with style.look():
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for gid, told in (titles or {}).items():
        text = _with_titles(text, gid, told)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    text = themed(text)
    text = re.sub(r"font: (?:([\d.]+)px|[^;\"]*?([\d.]+)px) [^;\"]*", r"font-size: \1\2px", text)
    text = re.sub(r' xmlns:xlink="[^"]*"| xmlns="[^"]*"| version="[^"]*"', "", text).replace("xlink:href", "href")
    head, rest = text.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    if spots:
        width, height = figure.get_size_inches() * _POINTS
        rest = rest.replace("</svg>", f"{hover.elements(spots, width, height)}</svg>")
    return f'{head} role="img" aria-label="{html.escape(label)}">{rest}'


def themed(text: str) -> str:
    """The text with the charts' colours as variables of the page."""
    for colour, variable in _THEME.items():
        text = text.replace(colour, variable)
    return text


def _with_titles(text: str, gid: str, titles: Sequence[str]) -> str:
    start = text.find(f'id="{gid}"')
    if start < 0:
        return text
    told = iter(titles)

    def add(match: re.Match[str]) -> str:
        title = next(told, None)
        return match[0] if title is None else f"{match[1]}><title>{html.escape(title)}</title></use>"

    # Dots stand one after another behind the group's definitions.
    return text[:start] + re.sub(r"(<use [^>]*?)/>", add, text[start:], count=len(titles))
