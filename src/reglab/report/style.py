"""How charts look: colours that colour-blind readers tell apart, one a strategy, and names that are never cut."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import Locator

# On light and on dark paper: Okabe and Ito (2008) in an order that keeps neighbours apart, three of their kind, and
# at last the baseline's grey.
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
# On the page these become variables, so that charts follow the reader's light or dark theme (see `svg`).
INK, MUTED, GRID, PAPER = "#1c2127", "#5f6872", "#dfe3e8", "#fefefe"
WIDTH = 7.4  # inches
DPI = 165
SIZE = 9.0  # points
LINE = 0.165  # inches, the height of a line of text
_LETTER = 0.079  # inches, a wide letter at that size
_BOLD = 0.084  # inches, the same in bold


def colours(strategies: Sequence[str], baseline: str | None) -> dict[str, str]:
    """A colour for each strategy by its name's place in the alphabet, from ten; the baseline is grey."""
    others = sorted(set(strategies) - {baseline})
    found = {name: PALETTE[i % (len(PALETTE) - 1)][0] for i, name in enumerate(others)}
    return found | ({baseline: BASELINE} if baseline is not None else {})


def wrap(name: str, width: int = 24) -> str:
    """The name over several lines, broken after `+`, `(` or `,`; a part that is too long after `_`, or anywhere."""
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


def heading(name: str, width: float) -> str:
    """The name of a panel so many inches wide, in lines that fit into it when bold."""
    return wrap(name, int(width / _BOLD))


def lines_of(text: str) -> int:
    """How many lines a wrapped name takes."""
    return text.count("\n") + 1


def text_width(texts: Sequence[str]) -> float:
    """Inches that the widest of the (wrapped) texts takes at most."""
    return _LETTER * max((len(line) for text in texts for line in text.split("\n")), default=0)


@contextmanager
def look() -> Iterator[None]:
    """Matplotlib's settings for a chart, until the block ends."""
    import matplotlib

    settings: dict[Any, Any] = {
        "font.family": "DejaVu Sans",  # comes with matplotlib, so charts are the same everywhere
        "font.size": SIZE,
        "axes.titlesize": SIZE,
        "axes.labelsize": SIZE,
        "xtick.labelsize": SIZE - 1,
        "ytick.labelsize": SIZE - 1,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.linewidth": 0.7,
        "axes.titley": 1.0,  # a fixed place: to look for one takes a tenth of all drawing
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
        "svg.fonttype": "none",  # text stays text: sharp, searchable
        "svg.hashsalt": "reglab",
        "text.parse_math": False,  # a $ in a name is a $
    }
    with matplotlib.rc_context(settings):
        yield


def ticks(limits: tuple[float, float], locator: "Locator") -> list[float]:
    """The places that a locator finds between two limits."""
    low, high = limits
    return [place for place in map(float, locator.tick_values(low, high)) if low <= place <= high]


def name_rows(axes: "Axes", names: Sequence[str], heights: Sequence[float]) -> list[float]:
    """Rows from top to bottom, each `heights` inches high, named at the left; returns their centres (inches)."""
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
