"""Small multiples: panels under headings, row by row, in inches."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reglab.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
LEFT, RIGHT = 0.7, 0.12  # inches beside the panels: a label and numbers, nothing


def lay(
    names: Sequence[str],
    colours: Sequence[str],
    limits: Mapping[str, Any],
    *,
    above: float = 0.0,
    tall: float = 1.3,
    under: float = 0.0,
    below: float = 0.0,
    gap: float = 0.16,
    widest: float = 3.2,
) -> "tuple[Figure, list[Axes]]":
    """A figure with a panel for each name; to be called where `style.look` holds.

    Args:
        names: headings, wrapped to fit.
        colours: of the headings.
        limits: ``xlim`` and ``ylim`` of all panels, where they are common.
        above: inches over all panels.
        tall: inches of a panel.
        under: inches under each row of panels.
        below: inches under all panels.
        gap: inches between columns.
        widest: inches of a panel at most.
    """
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(names))
    width = min((style.WIDTH - LEFT - RIGHT - gap * (columns - 1)) / columns, widest)
    headings = [style.heading(name, width) for name in names]
    rows = [headings[i : i + columns] for i in range(0, len(headings), columns)]
    heads = [style.LINE * max(map(style.lines_of, row)) + 0.1 for row in rows]
    height = above + sum(heads) + len(rows) * (tall + under) + below
    figure = Figure(figsize=(style.WIDTH, height))
    for i, (heading, colour) in enumerate(zip(headings, colours, strict=True)):
        row, column = divmod(i, columns)
        x, top = LEFT + column * (width + gap), above + sum(heads[: row + 1]) + row * (tall + under)
        box = x / style.WIDTH, 1 - (top + tall) / height, width / style.WIDTH, tall / height
        axes = figure.add_axes(box, **limits)
        axes.set_title(heading, color=colour, weight="bold", loc="left", pad=3)
    return figure, figure.axes


def scale(axes: "Axes", x: Sequence[float], y: Sequence[float], *, labelled: bool) -> None:
    """Ticks of one of several panels with common limits: horizontal lines at `y`, and the numbers where `labelled`.

    An axis that says nothing is not drawn at all, and its lines are one artist: matplotlib's ticks take most of the
    time of a chart of many panels.
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


def leftmost(number: int) -> bool:
    """Whether a panel stands in the first column."""
    return number % COLUMNS == 0


def lowest(number: int, count: int) -> bool:
    """Whether no panel stands under this one."""
    return number + COLUMNS >= count


def label_both(figure: "Figure", x: str, y: str, *, above: float = 0.0, below: float = 0.0) -> None:
    """What all panels have along both axes: `x` under the middle of the panels, `y` at their left.

    Args:
        above: inches over all panels, as given to `lay`.
        below: inches under them.
    """
    height = float(figure.get_size_inches()[1])
    boxes = [axes.get_position() for axes in figure.axes]
    middle = (min(box.x0 for box in boxes) + max(box.x1 for box in boxes)) / 2
    figure.text(middle, 0.1 / height, x, ha="center", va="bottom")
    edge = 0.02 if "\n" in y else 0.1
    figure.text(edge / style.WIDTH, (below + height - above) / 2 / height, y, rotation=90, ha="left", va="center")
