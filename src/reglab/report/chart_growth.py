"""What more tuning brings: the expected best against budget, in trials and in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reglab.report import hover, style
from reglab.report.hover import Spot
from reglab.wording import pluralize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 2  # trials, seconds


@dataclass(frozen=True)
class Growth:
    """The expected score of one strategy by number of trials; `seconds` of a trial on average."""

    name: str
    colour: str
    validation: Sequence[float | None]
    test: Sequence[float | None]
    seconds: float


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


def spots(lines: Sequence[Growth], figure: "Figure") -> list[Spot]:
    """What hovering tells: every strategy's score for that budget, the highest first."""
    found = []
    for i, axes in enumerate(figure.axes):
        tested, timed = i >= COLUMNS, i % COLUMNS == 1
        if timed:
            last = max(len(line.validation) * line.seconds for line in lines)
            budgets = [last * (k + 1) / hover.STRIPS for k in range(hover.STRIPS)]
        else:
            budgets = [float(k + 1) for k in hover.some(range(max(len(line.validation) for line in lines)))]
        told = [_told(lines, budget, tested=tested, timed=timed) for budget in budgets]
        found += hover.strips(axes, budgets, told)
    return found


def _told(lines: Sequence[Growth], budget: float, *, tested: bool, timed: bool) -> str:
    scores = []
    for line in lines:
        values = line.test if tested else line.validation
        count = min(int(budget / line.seconds + 1e-9) if timed else int(budget), len(values))
        if count and (score := values[count - 1]) is not None:
            scores.append((score, f"{line.name} {score:.4g}" + (f" ({pluralize(count, 'trial')})" if timed else "")))
    head = f"{budget:.3g} s of training" if timed else pluralize(int(budget), "trial")
    return "\n".join([head, *(text for _, text in sorted(scores, reverse=True))])


def _legend_height(names: Sequence[str]) -> float:
    return style.LINE * sum(style.lines_of(name) + 0.4 for name in names)
