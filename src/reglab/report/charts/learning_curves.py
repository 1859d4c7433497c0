"""Learning curves: a panel for each strategy with training and validation, and the baseline for comparison."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from reglab.report.charts import style
from reglab.report.charts.chart import Chart, TaskChartData, task_chart
from reglab.report.charts.strips import label_noise_note
from reglab.report.charts.svg import HoverArea, hover_areas, spread_indices
from reglab.report.findings.learning_curves import ArmCurves, Curve, LearningCurves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEGEND, _FOOT = 0.28, 0.46  # inches above and below the panels


@task_chart
class LearningCurvesChart:
    """A chart for the reported metric and one for the loss."""

    name = "curves"
    title = "Learning curves"
    order = 40

    def applies(self, data: TaskChartData) -> bool:
        """Return whether any metric was tracked at several steps."""
        return bool(data.curves)

    def draw(self, data: TaskChartData) -> list[Chart]:
        """Return a chart for each metric."""
        charts = []
        for curves in data.curves:
            caption = f"Mean over seeds, with a band of one standard deviation.{label_noise_note(data.task_findings)}"
            if curves.total_arms > len(curves.arms):
                caption += f" The {len(curves.arms)} best of {curves.total_arms} are shown."
            figure = draw_curves(curves, data.colours)
            areas = curve_hover_areas(curves, figure)
            title = f"{self.title}: {curves.name}"
            charts.append(Chart(f"{self.name}-{curves.name}", title, caption, figure, hover_areas=areas))
        return charts


def draw_curves(curves: LearningCurves, colours: Mapping[str, str]) -> "Figure":
    """Return panels with common axes: validation (solid), training (dashed), and validation of the baseline (grey)."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    baseline, count = curves.baseline, len(curves.arms)
    x_limits, y_limits = _limits(curves)
    x_ticks = style.ticks_between(x_limits, MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    y_ticks = style.ticks_between(y_limits, MaxNLocator(5, steps=[1, 2, 5, 10]))
    with style.chart_style():
        names, arm_colours = [arm.label for arm in curves.arms], [colours[arm.strategy] for arm in curves.arms]
        limits = {"xlim": x_limits, "ylim": y_limits}
        figure, panels = style.panel_grid(names, arm_colours, limits, top_margin=_LEGEND, bottom_margin=_FOOT)
        for i, (arm, colour, axes) in enumerate(zip(curves.arms, arm_colours, panels, strict=True)):
            x = x_ticks if style.is_lowest(i, count) else []
            style.set_panel_ticks(axes, x, y_ticks, labelled=style.is_leftmost(i))
            if baseline is not None and arm.val is not baseline:
                axes.plot(baseline.steps, baseline.mean, color=style.BASELINE, linewidth=1.1, alpha=0.8)
            for curve, dashes in ((arm.train, (3, 1.5)), (arm.val, (None, None))):
                if curve is not None:
                    band = curve.mean - curve.std, curve.mean + curve.std
                    axes.fill_between(curve.steps, *band, color=colour, alpha=0.16, linewidth=0)
                    axes.plot(curve.steps, curve.mean, color=colour, linewidth=1.6, dashes=dashes)
        keys = [Line2D([], [], color=style.INK, linewidth=1.6, label="validation")]
        keys.append(Line2D([], [], color=style.INK, linewidth=1.6, dashes=(3, 1.5), label="training, in eval mode"))
        if baseline is not None and count > 1:
            label = f"validation of {curves.baseline_label}"
            keys.append(Line2D([], [], color=style.BASELINE, linewidth=1.1, label=label))
        figure.legend(handles=keys, loc="upper left", bbox_to_anchor=(style.LEFT / style.WIDTH, 1), ncols=3,
                      frameon=False, borderpad=0.2, borderaxespad=0.2, handlelength=2.2, columnspacing=1.6)  # fmt: skip
        style.label_axes(figure, _step_name(curves.arms), curves.name, top_margin=_LEGEND, bottom_margin=_FOOT)
    return figure


def curve_hover_areas(curves: LearningCurves, figure: "Figure") -> list[HoverArea]:
    """Return hover areas with the values of a panel's curves and of the baseline at each step."""
    areas = []
    for arm, axes in zip(curves.arms, figure.axes, strict=True):
        baseline = curves.baseline if arm.val is not curves.baseline else None
        by_label = {"validation": arm.val, "training": arm.train, f"validation of {curves.baseline_label}": baseline}
        drawn = {label: curve for label, curve in by_label.items() if curve is not None}
        all_steps = next(iter(drawn.values())).steps.tolist()
        steps = [all_steps[i] for i in spread_indices(all_steps)]
        head = f"{arm.label}, {_step_name(curves.arms)}"
        texts = [
            "\n".join([f"{head} {step:g}", *(_describe_value(curve, step, label) for label, curve in drawn.items())])
            for step in steps
        ]
        areas += hover_areas(axes, steps, texts)
    return areas


def _describe_value(curve: Curve, step: float, label: str) -> str:
    """Return ``validation 0.612 ± 0.013``, or a dash if the curve has no value at the step."""
    (indices,) = np.nonzero(curve.steps == step)
    return f"{label} " + (f"{curve.mean[indices[0]]:.4g} ± {curve.std[indices[0]]:.2g}" if len(indices) else "–")


def _limits(curves: LearningCurves) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return limits of steps and values that contain all curves with their bands, with a margin."""
    drawn = [curve for arm in curves.arms for curve in (arm.train, arm.val) if curve is not None]
    steps = np.concatenate([curve.steps for curve in drawn])
    edges = [edge for curve in drawn for edge in (curve.mean - curve.std, curve.mean + curve.std)]
    values = np.concatenate(edges if curves.baseline is None else [*edges, curves.baseline.mean])
    return _with_margin(steps, 0.02), _with_margin(values, 0.05)


def _with_margin(values: np.ndarray, share: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = share * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def _step_name(arms: Sequence[ArmCurves]) -> str:
    """Return ``epoch`` for consecutive steps, else ``step``."""
    steps = next((c.steps for arm in arms for c in (arm.val, arm.train) if c is not None), np.zeros(0))
    return "step" if len(steps) > 1 and np.diff(steps).min() > 1 else "epoch"
