"""Learning curves: a panel for each strategy, training and validation, with the baseline behind."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from reglab.report import hover, panels, style
from reglab.report.hover import Spot
from reglab.report.learning import Curve, Learning, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEGEND, _FOOT = 0.28, 0.46  # inches over and under the panels


def curves(told: Learning) -> "Figure":
    """Small multiples on common axes: validation solid, training dashed, the baseline's validation in grey."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    baseline, count = told.baseline, len(told.panels)
    x_limits, y_limits = _limits(told)
    x_ticks = style.ticks(x_limits, MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    y_ticks = style.ticks(y_limits, MaxNLocator(5, steps=[1, 2, 5, 10]))
    with style.look():
        names, colours = [panel.name for panel in told.panels], [panel.colour for panel in told.panels]
        limits = {"xlim": x_limits, "ylim": y_limits}
        figure, shown = panels.lay(names, colours, limits, above=_LEGEND, below=_FOOT)
        for i, (panel, axes) in enumerate(zip(told.panels, shown, strict=True)):
            x = x_ticks if panels.lowest(i, count) else []
            panels.scale(axes, x, y_ticks, labelled=panels.leftmost(i))
            if baseline is not None and panel.val is not baseline:
                axes.plot(baseline.steps, baseline.mean, color=style.BASELINE, linewidth=1.1, alpha=0.8)
            for one, dashes in ((panel.train, (3, 1.5)), (panel.val, (None, None))):
                if one is not None:
                    band = one.mean - one.std, one.mean + one.std
                    axes.fill_between(one.steps, *band, color=panel.colour, alpha=0.16, linewidth=0)
                    axes.plot(one.steps, one.mean, color=panel.colour, linewidth=1.6, dashes=dashes)
        keys = [Line2D([], [], color=style.INK, linewidth=1.6, label="validation")]
        keys.append(Line2D([], [], color=style.INK, linewidth=1.6, dashes=(3, 1.5), label="training, in eval mode"))
        if baseline is not None and count > 1:
            keys.append(
                Line2D([], [], color=style.BASELINE, linewidth=1.1, label=f"validation of {told.baseline_label}")
            )
        figure.legend(handles=keys, loc="upper left", bbox_to_anchor=(panels.LEFT / style.WIDTH, 1), ncols=3,
                      frameon=False, borderpad=0.2, borderaxespad=0.2, handlelength=2.2, columnspacing=1.6)  # fmt: skip
        panels.label_both(figure, _step_name(told.panels), told.name, above=_LEGEND, below=_FOOT)
    return figure


def spots(told: Learning, figure: "Figure") -> list[Spot]:
    """What hovering tells: the curves of a panel at a step, and the baseline's."""
    found = []
    for panel, axes in zip(told.panels, figure.axes, strict=True):
        behind = told.baseline if panel.val is not told.baseline else None
        of = {"validation": panel.val, "training": panel.train, f"validation of {told.baseline_label}": behind}
        known = {label: one for label, one in of.items() if one is not None}
        own = next(iter(known.values())).steps.tolist()
        steps = [own[i] for i in hover.some(own)]
        head = f"{panel.name}, {_step_name(told.panels)}"
        texts = [[f"{head} {step:g}", *(_at(one, step, label) for label, one in known.items())] for step in steps]
        found += hover.strips(axes, steps, ["\n".join(lines) for lines in texts])
    return found


def _at(curve: Curve, step: float, label: str) -> str:
    """``validation 0.612 ± 0.013``; a dash where the curve has nothing at that step."""
    (places,) = np.nonzero(curve.steps == step)
    return f"{label} " + (f"{curve.mean[places[0]]:.4g} ± {curve.std[places[0]]:.2g}" if len(places) else "–")


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


def _step_name(shown: Sequence[Panel]) -> str:
    """Epochs are counted one by one; where steps jump they are optimizer steps."""
    steps = next((c.steps for panel in shown for c in (panel.val, panel.train) if c is not None), np.zeros(0))
    return "step" if len(steps) > 1 and np.diff(steps).min() > 1 else "epoch"
