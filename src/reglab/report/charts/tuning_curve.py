"""Tuning curves: the expected best score against the tuning budget, in trials and in seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reglab.report.charts import style
from reglab.report.charts.chart import Chart, TaskChartData, task_chart
from reglab.report.charts.svg import MAX_AREAS, HoverArea, hover_areas, spread_indices
from reglab.report.findings.tuning import TaskTuning
from reglab.report.statistics.tuning_curve import best_so_far, expected_best
from reglab.report.trials import StudyRecord
from reglab.schema.text import pluralize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 2  # trials, seconds


@dataclass(frozen=True)
class TuningCurve:
    """The tuning curve of one strategy.

    Attributes:
        name: name of the strategy.
        colour: colour of the strategy.
        validation: expected best selection metric for 1, 2, ... trials.
        test: expected reported metric of these best trials.
        seconds: mean training time of a trial.
    """

    name: str
    colour: str
    validation: Sequence[float | None]
    test: Sequence[float | None]
    seconds: float


@task_chart
class TuningCurveChart:
    """Tuning curves of all strategies with two trials or more."""

    name = "growth"  # name of the PNG file in stores and report folders
    title = "Tuning curves"
    order = 80

    def applies(self, data: TaskChartData) -> bool:
        """Return whether there are scores of one training length: not with pruning."""
        tuning = data.task_findings.tuning
        return tuning is not None and tuning.study.pruning is None and bool(tuning_curves(tuning, data.colours))

    def draw(self, data: TaskChartData) -> list[Chart]:
        """Return one chart."""
        tuning = data.task_findings.tuning
        assert tuning is not None
        study, curves = tuning.study, tuning_curves(tuning, data.colours)
        best = "expected best" if study.exchangeable else "best so far"
        labels = f"{best} {study.select_by[0]}", f"{data.question.metric} of this trial"
        figure = draw_tuning_curves(curves, *labels)
        areas = tuning_hover_areas(curves, figure)
        return [Chart(self.name, self.title, _caption(study), figure, hover_areas=areas)]


def tuning_curves(tuning: TaskTuning, colours: Mapping[str, str]) -> list[TuningCurve]:
    """Return the curves of the strategies with two trials or more and a score."""
    study = tuning.study
    best = expected_best if study.exchangeable else best_so_far
    curves = []
    for strategy in tuning.strategies:
        scores = [trial.score for trial in strategy.trials]
        tests = [trial.test for trial in strategy.trials]
        if len(scores) > 1 and any(score is not None for score in scores):
            curves.append(
                TuningCurve(
                    strategy.strategy,
                    colours[strategy.strategy],
                    best(scores, minimized=study.minimized),
                    best(scores, tests, minimized=study.minimized),
                    strategy.seconds / len(scores),
                )
            )
    return curves


def draw_tuning_curves(curves: Sequence[TuningCurve], validation: str, test: str) -> "Figure":
    """Return a figure with validation above and test below, by trials at the left and by seconds at the right.

    Args:
        curves: one or more.
        validation, test: labels of the y axes.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    names = [style.wrap(curve.name, 30) for curve in curves]
    columns = min(len(names), max(1, int((style.WIDTH - 0.8) / (style.text_width(names) + 0.5))))
    by_column = np.array_split(np.array(names, dtype=object), columns)
    legend = max(_legend_height(list(column)) for column in by_column) + 0.1
    rows = [validation] + ([test] if any(value is not None for curve in curves for value in curve.test) else [])
    left, right, gap, tall, between, foot = 0.72, 0.12, 0.25, 1.7, 0.18, 0.46  # inches, as the sizes below
    width = (style.WIDTH - left - right - gap) / 2
    height = legend + len(rows) * (tall + between) + foot
    with style.chart_style():
        figure = Figure(figsize=(style.WIDTH, height))
        for row, label in enumerate(rows):
            for column, unit_name in enumerate(("trials", "seconds of training")):
                bottom = height - legend - row * (tall + between) - tall
                x = left + column * (width + gap)
                axes = figure.add_axes((x / style.WIDTH, bottom / height, width / style.WIDTH, tall / height))
                for curve in curves:
                    values = curve.test if row else curve.validation
                    points = [(k, value) for k, value in enumerate(values, start=1) if value is not None]
                    unit = curve.seconds if column else 1  # budget of a trial
                    axes.plot([k * unit for k, _ in points], [value for _, value in points], color=curve.colour,
                              linewidth=1.6, marker="o", markersize=2.6)  # fmt: skip
                axes.grid(axis="y")
                axes.xaxis.set_major_locator(MaxNLocator(6, integer=not column, steps=[1, 2, 5, 10]))
                axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
                lowest = row == len(rows) - 1
                axes.tick_params(labelleft=not column, labelbottom=lowest, length=2.5)
                if column:
                    axes.set_ylim(figure.axes[-2].get_ylim())  # those of the panel at its left
                    axes.set_xlim(left=0)
                else:
                    axes.set_ylabel(style.wrap(label, 26), labelpad=2)
                if lowest:
                    axes.set_xlabel(f"budget: {unit_name}")
        keys = [Line2D([], [], color=c.colour, linewidth=1.6, label=n) for c, n in zip(curves, names, strict=True)]
        figure.legend(handles=keys, loc="upper left", bbox_to_anchor=(left / style.WIDTH, 1), ncols=columns,
                      frameon=False, borderpad=0.2, borderaxespad=0.2, handlelength=1.6, columnspacing=1.4)  # fmt: skip
    return figure


def tuning_hover_areas(curves: Sequence[TuningCurve], figure: "Figure") -> list[HoverArea]:
    """Return hover areas with the scores of all strategies for a budget, the highest first."""
    areas = []
    for i, axes in enumerate(figure.axes):
        tested, timed = i >= COLUMNS, i % COLUMNS == 1
        if timed:
            last = max(len(curve.validation) * curve.seconds for curve in curves)
            budgets = [last * (k + 1) / MAX_AREAS for k in range(MAX_AREAS)]
        else:
            budgets = [float(k + 1) for k in spread_indices(range(max(len(curve.validation) for curve in curves)))]
        texts = [_describe_budget(curves, budget, tested=tested, timed=timed) for budget in budgets]
        areas += hover_areas(axes, budgets, texts)
    return areas


def _caption(study: StudyRecord) -> str:
    if not study.exchangeable:
        return (
            "The best of the trials so far, in the order of the search: later trials depend on earlier ones. Below, "
            "the test metric of that trial on the tuning seeds."
        )
    return (
        "Expected result of a tuning with fewer trials: the exact mean over all subsets of k trials (Dodge et al. "
        "2019, without replacement). Below, the test metric of the trial that validation would select, on the tuning "
        "seeds. "
        f"A curve that still {'falls' if study.minimized else 'rises'} at its end would gain from more trials."
    )


def _describe_budget(curves: Sequence[TuningCurve], budget: float, *, tested: bool, timed: bool) -> str:
    scores = []
    for curve in curves:
        values = curve.test if tested else curve.validation
        count = min(int(budget / curve.seconds + 1e-9) if timed else int(budget), len(values))
        if count and (score := values[count - 1]) is not None:
            scores.append((score, f"{curve.name} {score:.4g}" + (f" ({pluralize(count, 'trial')})" if timed else "")))
    head = f"{budget:.3g} s of training" if timed else pluralize(int(budget), "trial")
    return "\n".join([head, *(text for _, text in sorted(scores, reverse=True))])


def _legend_height(names: Sequence[str]) -> float:
    return style.LINE * sum(style.count_lines(name) + 0.4 for name in names)
