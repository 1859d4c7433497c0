"""Layout of small multiples: panels with headings, row by row, measured in inches."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reglab.report.charts import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
LEFT, RIGHT = 0.7, 0.12  # inches beside the panels: the label and numbers of the y axis, an empty margin


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
    """Return a figure with a panel for each name, and the panels; call it within `style.chart_style`.

    All sizes are in inches.

    Args:
        names: headings, wrapped to fit.
        colours: of the headings.
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
    width = min((style.WIDTH - LEFT - RIGHT - column_gap * (columns - 1)) / columns, max_width)
    headings = [style.wrap_heading(name, width) for name in names]
    rows = [headings[i : i + columns] for i in range(0, len(headings), columns)]
    heads = [style.LINE * max(map(style.count_lines, row)) + 0.1 for row in rows]
    height = top_margin + sum(heads) + len(rows) * (panel_height + row_gap) + bottom_margin
    figure = Figure(figsize=(style.WIDTH, height))
    for i, (heading, colour) in enumerate(zip(headings, colours, strict=True)):
        row, column = divmod(i, columns)
        x = LEFT + column * (width + column_gap)
        top = top_margin + sum(heads[: row + 1]) + row * (panel_height + row_gap)
        box = x / style.WIDTH, 1 - (top + panel_height) / height, width / style.WIDTH, panel_height / height
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
    axes.hlines(y, 0, 1, transform=axes.get_yaxis_transform(), color=style.GRID, linewidth=0.7, zorder=0.5)
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
        figure: of `panel_grid`.
        x, y: labels.
        top_margin, bottom_margin: as passed to `panel_grid`.
    """
    height = float(figure.get_size_inches()[1])
    boxes = [axes.get_position() for axes in figure.axes]
    middle = (min(box.x0 for box in boxes) + max(box.x1 for box in boxes)) / 2
    figure.text(middle, 0.1 / height, x, ha="center", va="bottom")
    edge = 0.02 if "\n" in y else 0.1
    centre = (bottom_margin + height - top_margin) / 2 / height
    figure.text(edge / style.WIDTH, centre, y, rotation=90, ha="left", va="center")
