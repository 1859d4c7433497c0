"""Learning curves: a panel for each strategy, training and validation, with the baseline behind."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from reglab.study.report import style
from reglab.study.report.learning import Learning, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 4


def curves(told: Learning) -> "Figure":
    """Small multiples on common axes: validation solid, training dashed, the baseline's validation in grey."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    panels, baseline = told.panels, told.baseline
    columns = min(COLUMNS, len(panels))
    down = -(-len(panels) // columns)
    left, right, gap, legend, foot, tall = 0.62, 0.12, 0.16, 0.28, 0.46, 1.3
    width = min((style.WIDTH - left - right - gap * (columns - 1)) / columns, 3.2)
    names = [style.heading(panel.name, width) for panel in panels]
    head = style.LINE * max(style.lines_of(name) for name in names) + 0.1
    height = legend + down * (tall + head) + foot
    x_limits, y_limits = _limits(told)
    x_ticks = style.ticks(x_limits, MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    y_ticks = style.ticks(y_limits, MaxNLocator(5, steps=[1, 2, 5, 10]))
    with style.look():
        figure = Figure(figsize=(style.WIDTH, height))
        for i, (panel, name) in enumerate(zip(panels, names, strict=True)):
            row, column = divmod(i, columns)
            x, top = left + column * (width + gap), legend + row * (tall + head) + head
            box = x / style.WIDTH, 1 - (top + tall) / height, width / style.WIDTH, tall / height
            axes = figure.add_axes(box, xlim=x_limits, ylim=y_limits)
            axes.set_title(name, color=panel.colour, weight="bold", loc="left", pad=3)
            style.panel_ticks(axes, x_ticks if i + columns >= len(panels) else [], y_ticks, labelled=column == 0)
            if baseline is not None and panel.val is not baseline:
                axes.plot(baseline.steps, baseline.mean, color=style.BASELINE, linewidth=1.1, alpha=0.8)
            for one, dashes in ((panel.train, (3, 1.5)), (panel.val, (None, None))):
                if one is not None:
                    band = one.mean - one.std, one.mean + one.std
                    axes.fill_between(one.steps, *band, color=panel.colour, alpha=0.16, linewidth=0)
                    axes.plot(one.steps, one.mean, color=panel.colour, linewidth=1.6, dashes=dashes)
        keys = [Line2D([], [], color=style.INK, linewidth=1.6, label="validation")]
        keys.append(Line2D([], [], color=style.INK, linewidth=1.6, dashes=(3, 1.5), label="training, in eval mode"))
        if baseline is not None and len(panels) > 1:
            keys.append(
                Line2D([], [], color=style.BASELINE, linewidth=1.1, label=f"validation of {told.baseline_label}")
            )
        figure.legend(handles=keys, loc="upper left", bbox_to_anchor=(left / style.WIDTH, 1), ncols=3, frameon=False,
                      borderpad=0.2, borderaxespad=0.2, handlelength=2.2, columnspacing=1.6)  # fmt: skip
        middle = (left + (columns * (width + gap) - gap) / 2) / style.WIDTH
        figure.text(middle, 0.1 / height, _step_name(panels), ha="center", va="bottom")
        figure.text(0.1 / style.WIDTH, (foot + (height - legend - foot) / 2) / height, told.name, rotation=90,
                    ha="left", va="center")  # fmt: skip
    return figure


def _limits(told: Learning) -> tuple[tuple[float, float], tuple[float, float]]:
    """The steps and the values that all panels show: every curve with its band, the baseline's, and a margin."""
    some = [one for panel in told.panels for one in (panel.train, panel.val) if one is not None]
    steps = np.concatenate([one.steps for one in some])
    edges = [edge for one in some for edge in (one.mean - one.std, one.mean + one.std)]
    values = np.concatenate(edges if told.baseline is None else [*edges, told.baseline.mean])
    return _with_margin(steps, 0.02), _with_margin(values, 0.05)


def _with_margin(values: np.ndarray, share: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = share * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def _step_name(panels: Sequence[Panel]) -> str:
    """Epochs are counted one by one; where steps jump they are optimizer steps."""
    steps = next((c.steps for panel in panels for c in (panel.val, panel.train) if c is not None), np.zeros(0))
    return "step" if len(steps) > 1 and np.diff(steps).min() > 1 else "epoch"
