"""Charts of trials: the response to each searched value, and the expected best against budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reglab.study.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
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


@dataclass(frozen=True)
class Growth:
    """The expected score of one strategy by number of trials; `seconds` of a trial on average."""

    name: str
    colour: str
    validation: Sequence[float | None]
    test: Sequence[float | None]
    seconds: float


def response(panels: Sequence[Panel], label: str, *, minimized: bool) -> "Figure":
    """Small multiples on a common scale of scores: every trial a dot, the chosen one ringed."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    columns = min(COLUMNS, len(panels))
    left, right, gap, tall, under = 0.72, 0.12, 0.2, 1.15, 0.42
    width = min((style.WIDTH - left - right - gap * (columns - 1)) / columns, 2.6)
    names = [style.heading(panel.title, width) for panel in panels]
    rows = [names[i : i + columns] for i in range(0, len(names), columns)]
    heads = [style.LINE * max(map(style.lines_of, row)) + 0.1 for row in rows]
    height = sum(heads) + len(rows) * (tall + under) + 0.02
    low, high = limits([dot.score for panel in panels for dot in panel.dots], minimized=minimized)
    scores = style.ticks((low, high), MaxNLocator(4, steps=[1, 2, 5, 10]))
    with style.look():
        figure = Figure(figsize=(style.WIDTH, height))
        for i, (panel, name) in enumerate(zip(panels, names, strict=True)):
            row, column = divmod(i, columns)
            x, top = left + column * (width + gap), sum(heads[: row + 1]) + row * (tall + under)
            box = x / style.WIDTH, 1 - (top + tall) / height, width / style.WIDTH, tall / height
            axes = figure.add_axes(box, ylim=(low, high))
            axes.set_title(name, color=panel.colour, weight="bold", loc="left", pad=3)
            _panel(axes, panel, i, (low, high))
            places, texts = zip(*_ticks(panel), strict=True)
            style.panel_ticks(axes, places, scores, labelled=column == 0)
            axes.set_xticklabels(texts)
        figure.text(0.1 / style.WIDTH, 0.5, label, rotation=90, ha="left", va="center")
    return figure


def titles(panels: Sequence[Panel]) -> dict[str, list[str]]:
    """What hovering tells, by the gid of each panel's dots."""
    return {f"trials{i}": [dot.told for dot in panel.dots] for i, panel in enumerate(panels)}


def limits(scores: Sequence[float], *, minimized: bool) -> tuple[float, float]:
    """Lowest and highest score to show, with a margin: trials that went wrong altogether must not flatten the rest."""
    values = np.array(scores)
    best = values.min() if minimized else values.max()
    reach = _FAR * abs(best - float(np.median(values)))
    shown = values[np.abs(values - best) <= reach] if reach > 0 else values
    low, high = float(shown.min()), float(shown.max())
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def growth(lines: Sequence[Growth], validation: str, test: str) -> "Figure":
    """Above the expected best validation score, below the test of it; by trials and by seconds."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    names = [style.wrap(line.name, 30) for line in lines]
    columns = min(len(names), max(1, int((style.WIDTH - 0.8) / (style.text_width(names) + 0.5))))
    legend = (
        max(_legend_height(list(column)) for column in np.array_split(np.array(names, dtype=object), columns)) + 0.1
    )
    rows = [validation] + ([test] if any(v is not None for line in lines for v in line.test) else [])
    left, right, gap, tall, between, foot = 0.72, 0.12, 0.25, 1.7, 0.18, 0.46
    width = (style.WIDTH - left - right - gap) / 2
    height = legend + len(rows) * (tall + between) + foot
    with style.look():
        figure = Figure(figsize=(style.WIDTH, height))
        for row, label in enumerate(rows):
            for column, by in enumerate(("trials", "seconds of training")):
                bottom = height - legend - row * (tall + between) - tall
                x = left + column * (width + gap)
                axes = figure.add_axes((x / style.WIDTH, bottom / height, width / style.WIDTH, tall / height))
                for line in lines:
                    values = line.test if row else line.validation
                    told = [(k, v) for k, v in enumerate(values, start=1) if v is not None]
                    unit = line.seconds if column else 1
                    axes.plot([k * unit for k, _ in told], [v for _, v in told], color=line.colour, linewidth=1.6,
                              marker="o", markersize=2.6)  # fmt: skip
                axes.grid(axis="y")
                axes.xaxis.set_major_locator(MaxNLocator(6, integer=not column, steps=[1, 2, 5, 10]))
                axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
                last = row == len(rows) - 1
                axes.tick_params(labelleft=not column, labelbottom=last, length=2.5)
                if column:
                    axes.set_ylim(figure.axes[-2].get_ylim())
                    axes.set_xlim(left=0)
                else:
                    axes.set_ylabel(style.wrap(label, 26), labelpad=2)
                if last:
                    axes.set_xlabel(f"budget: {by}")
        keys = [Line2D([], [], color=g.colour, linewidth=1.6, label=n) for g, n in zip(lines, names, strict=True)]
        figure.legend(handles=keys, loc="upper left", bbox_to_anchor=(left / style.WIDTH, 1), ncols=columns,
                      frameon=False, borderpad=0.2, borderaxespad=0.2, handlelength=1.6, columnspacing=1.4)  # fmt: skip
    return figure


def _legend_height(names: Sequence[str]) -> float:
    return style.LINE * sum(style.lines_of(name) + 0.4 for name in names)


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
