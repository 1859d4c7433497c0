"""Style and layout of charts: a colour-blind-safe colour for each strategy, wrapped names, grids of panels, legends."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
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
COLUMNS = 4
LEFT, RIGHT = 0.7, 0.12  # inches beside the panels: the label and numbers of the y axis, an empty margin


def strategy_colours(strategies: Sequence[str], baseline: str | None) -> dict[str, str]:
    """Return a colour for each strategy, from ten in alphabetical order; grey for the baseline."""
    others = sorted(set(strategies) - {baseline})
    colours = {name: PALETTE[i % (len(PALETTE) - 1)][0] for i, name in enumerate(others)}
    return colours | ({baseline: BASELINE} if baseline is not None else {})


def wrap(name: str, width: int = 24) -> str:
    """Return a name in lines of at most `width` characters.

    Lines break after `+`, `(` or `,`; in a longer part after `_`, or anywhere.
    """
    parts: list[str] = []
    for part in re.findall(r"[^+(, ]*[+(, ]?", name):
        parts += [part] if len(part) <= width else re.findall("[^_]*_?", part)
    lines = [""]
    for part in parts:
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
    return [tick for tick in map(float, locator.tick_values(low, high)) if low <= tick <= high]


def row_chart(
    names: Sequence[str], label: str, *, row_height: float, head: float, right: float
) -> tuple["Figure", "Axes", list[float]]:
    """Set up a chart with a named row for each entry; call it within `chart_style`.

    Args:
        names: names of the rows, from top to bottom.
        label: label of the x axis, wrapped if it is long.
        row_height: height of the smallest row, in inches; rows with long names are higher.
        head: inches above the rows.
        right: inches beside the rows.

    Returns:
        The figure, its axes, and the centre of each row in data coordinates (inches from the top).
    """
    from matplotlib.figure import Figure

    names = [wrap(name) for name in names]
    heights = [max(row_height, LINE * count_lines(name) + 0.12) for name in names]
    label = textwrap.fill(label, 76)
    foot = 0.46 + LINE * (count_lines(label) - 1)
    left = text_width(names) + 0.2
    height = sum(heights) + head + foot
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((left / WIDTH, foot / height, (WIDTH - left - right) / WIDTH, sum(heights) / height))
    centres, top = [], 0.0
    for row in heights:
        centres.append(top + row / 2)
        top += row
    axes.set_ylim(top, 0)
    axes.set_yticks(centres, names)
    axes.set_xlabel(label)
    axes.tick_params(axis="y", length=0, labelsize=SIZE)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    return figure, axes, centres


def panel_grid(
    names: Sequence[str],
    colours: Sequence[str],
    limits: Mapping[str, Any],
    *,
    top_margin: float = 0.0,
    panel_height: float = 1.3,
    row_gap: float = 0.0,
    bottom_margin: float = 0.0,
    column_gap: float = 0.16,
    max_width: float = 3.2,
) -> "tuple[Figure, list[Axes]]":
    """Return a figure with a panel for each name, and the panels; call it within `chart_style`.

    All sizes are in inches.

    Args:
        names: headings, wrapped to fit.
        colours: colours of the headings.
        limits: ``xlim`` and ``ylim`` that all panels share.
        top_margin: space above all panels.
        panel_height: height of a panel.
        row_gap: space below each row of panels.
        bottom_margin: space below all panels.
        column_gap: space between columns.
        max_width: maximal width of a panel.
    """
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(names))
    width = min((WIDTH - LEFT - RIGHT - column_gap * (columns - 1)) / columns, max_width)
    headings = [wrap_heading(name, width) for name in names]
    rows = [headings[i : i + columns] for i in range(0, len(headings), columns)]
    heads = [LINE * max(map(count_lines, row)) + 0.1 for row in rows]
    height = top_margin + sum(heads) + len(rows) * (panel_height + row_gap) + bottom_margin
    figure = Figure(figsize=(WIDTH, height))
    for i, (heading, colour) in enumerate(zip(headings, colours, strict=True)):
        row, column = divmod(i, columns)
        x = LEFT + column * (width + column_gap)
        top = top_margin + sum(heads[: row + 1]) + row * (panel_height + row_gap)
        box = x / WIDTH, 1 - (top + panel_height) / height, width / WIDTH, panel_height / height
        axes = figure.add_axes(box, **limits)
        axes.set_title(heading, color=colour, weight="bold", loc="left", pad=3)
    return figure, figure.axes


def set_panel_ticks(axes: "Axes", x: Sequence[float], y: Sequence[float], *, labelled: bool) -> None:
    """Set the ticks of one of several panels with common limits.

    Ticks take most of matplotlib's time for a chart of many panels: axes without labels are not drawn at all, and the
    horizontal lines are one artist.

    Args:
        axes: a panel.
        x: ticks of the x axis; empty: no axis.
        y: horizontal lines.
        labelled: whether the lines have numbers.
    """
    axes.hlines(y, 0, 1, transform=axes.get_yaxis_transform(), color=GRID, linewidth=0.7, zorder=0.5)
    axes.xaxis.set_visible(bool(x))
    axes.yaxis.set_visible(labelled)
    if x:
        axes.set_xticks(x)
        axes.tick_params("x", length=2.5)
    if labelled:
        axes.set_yticks(y)
        axes.tick_params("y", length=2.5)


def is_leftmost(number: int) -> bool:
    """Return whether a panel is in the first column."""
    return number % COLUMNS == 0


def is_lowest(number: int, count: int) -> bool:
    """Return whether there is no panel below this one."""
    return number + COLUMNS >= count


def label_axes(figure: "Figure", x: str, y: str, *, top_margin: float = 0.0, bottom_margin: float = 0.0) -> None:
    """Label the axes that all panels share: `x` below their middle, `y` at their left.

    Args:
        figure: figure that `panel_grid` returned.
        x, y: labels.
        top_margin, bottom_margin: margins that were passed to `panel_grid`.
    """
    height = float(figure.get_size_inches()[1])
    boxes = [axes.get_position() for axes in figure.axes]
    middle = (min(box.x0 for box in boxes) + max(box.x1 for box in boxes)) / 2
    figure.text(middle, 0.1 / height, x, ha="center", va="bottom")
    edge = 0.02 if "\n" in y else 0.1
    centre = (bottom_margin + height - top_margin) / 2 / height
    figure.text(edge / WIDTH, centre, y, rotation=90, ha="left", va="center")
