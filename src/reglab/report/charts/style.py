"""Style of charts: a colour-blind-safe colour for each strategy, and names that are wrapped, never cut."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import Locator

# (light theme, dark theme): Okabe and Ito (2008) in an order that keeps neighbours distinct, three similar colours, and
# the grey of the baseline.
PALETTE = (
    ("#0072b2", "#4aa8e8"),
    ("#d55e00", "#ff8a3d"),
    ("#009e73", "#2fc79b"),
    ("#cc79a7", "#e79bc5"),
    ("#e69f00", "#f2b632"),
    ("#56b4e9", "#8fd0f7"),
    ("#7d5ba6", "#b294e0"),
    ("#8c6d1f", "#c4a450"),
    ("#a3344a", "#e27489"),
    ("#4d7c6f", "#8dbcae"),
    ("#7a828c", "#9aa3ad"),
)
BASELINE = PALETTE[-1][0]
# On the page these become CSS variables, so that charts follow the light or dark theme (see `svg`).
INK, MUTED, GRID, PAPER = "#1c2127", "#5f6872", "#dfe3e8", "#fefefe"
WIDTH = 7.4  # inches
DPI = 165
SIZE = 9.0  # points
LINE = 0.165  # inches, height of a line of text
_LETTER = 0.079  # inches, width of a wide letter at that size
_BOLD = 0.084  # inches, the same in bold


def strategy_colours(strategies: Sequence[str], baseline: str | None) -> dict[str, str]:
    """Return a colour for each strategy, from ten in alphabetical order; grey for the baseline."""
    others = sorted(set(strategies) - {baseline})
    colours = {name: PALETTE[i % (len(PALETTE) - 1)][0] for i, name in enumerate(others)}
    return colours | ({baseline: BASELINE} if baseline is not None else {})


def wrap(name: str, width: int = 24) -> str:
    """Return a name in lines of at most `width` characters.

    Lines break after `+`, `(` or `,`; in a longer part after `_`, or anywhere.
    """
    wholes = re.findall(r"[^+(, ]*[+(, ]?", name)
    lines = [""]
    for part in (p for whole in wholes for p in ([whole] if len(whole) <= width else re.findall("[^_]*_?", whole))):
        while len(part) > width:
            if lines[-1]:
                lines.append("")
            lines[-1], part = part[:width], part[width:]
            lines.append("")
        if len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines if line.strip())


def wrap_heading(name: str, width: float) -> str:
    """Return the name of a panel in lines that fit into a width (inches) in bold type."""
    return wrap(name, int(width / _BOLD))


def count_lines(text: str) -> int:
    """Return the number of lines of a wrapped name."""
    return text.count("\n") + 1


def text_width(texts: Sequence[str]) -> float:
    """Return an upper bound of the width of the widest of some (wrapped) texts, in inches."""
    return _LETTER * max((len(line) for text in texts for line in text.split("\n")), default=0)


@contextmanager
def chart_style() -> Iterator[None]:
    """Apply matplotlib's settings for a chart within a ``with`` block."""
    import matplotlib

    settings: dict[Any, Any] = {
        "font.family": "DejaVu Sans",  # is part of matplotlib, so charts are the same everywhere
        "font.size": SIZE,
        "axes.titlesize": SIZE,
        "axes.labelsize": SIZE,
        "xtick.labelsize": SIZE - 1,
        "ytick.labelsize": SIZE - 1,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.linewidth": 0.7,
        "axes.titley": 1.0,  # a fixed position: automatic placement takes a tenth of the drawing time
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "axes.formatter.useoffset": False,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": GRID,
        "grid.linewidth": 0.7,
        "figure.facecolor": PAPER,
        "axes.facecolor": "none",
        "svg.fonttype": "none",  # text is not converted to paths: sharp, searchable
        "svg.hashsalt": "reglab",
        "text.parse_math": False,  # a $ in a name is not a formula
    }
    with matplotlib.rc_context(settings):
        yield


def ticks_between(limits: tuple[float, float], locator: "Locator") -> list[float]:
    """Return the ticks of a locator that are between two limits."""
    low, high = limits
    return [place for place in map(float, locator.tick_values(low, high)) if low <= place <= high]


def label_rows(axes: "Axes", names: Sequence[str], heights: Sequence[float]) -> list[float]:
    """Set up rows from top to bottom with names at the left; return their centres in inches.

    Args:
        axes: of the chart.
        names: of the rows.
        heights: of the rows, in inches.
    """
    centres, top = [], 0.0
    for height in heights:
        centres.append(top + height / 2)
        top += height
    axes.set_ylim(top, 0)
    axes.set_yticks(centres, names)
    axes.tick_params(axis="y", length=0, labelsize=SIZE)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    return centres
