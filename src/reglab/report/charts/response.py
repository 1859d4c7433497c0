"""Response of the score to each searched value: small multiples with every trial as a dot."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reglab.report.charts import style
from reglab.report.charts.chart import Chart, TaskChartData, task_chart
from reglab.report.findings.tuning import StrategyTuning, TaskTuning
from reglab.report.trials import TrialSummary, format_values, short_key
from reglab.schema.search_space import Choice, Dimension, Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 32
_OFF = -0.26  # position of trials with the value off, in widths of the range
_MAX_DISTANCE = 4.0  # from the best score, relative to the median distance; worse scores are drawn at the edge


@dataclass(frozen=True)
class Dot:
    """A trial.

    Attributes:
        position: position in the range, 0 to 1; None if the strength is off.
        score: score of the trial.
        text: shown on hovering.
        colour: colour of its strategy.
    """

    position: float | None
    score: float
    text: str
    colour: str


@dataclass(frozen=True)
class Panel:
    """One key of one strategy.

    Attributes:
        title: the strategy.
        colour: colour of the title.
        key: label of the x axis.
        ticks: (position, text).
        dots: trials.
        chosen: index of the chosen trial's dot; None if there is none.
    """

    title: str
    colour: str
    key: str
    ticks: Sequence[tuple[float, str]]
    dots: Sequence[Dot]
    chosen: int | None


@task_chart
class ResponseChart:
    """Responses of all strategies to all searched values of a study."""

    name = "response"
    title = "Response to the searched values"
    order = 30

    def applies(self, data: TaskChartData) -> bool:
        """Return whether any trial with a search space has a score."""
        return data.task_findings.tuning is not None and bool(response_panels(data.task_findings.tuning, data.colours))

    def draw(self, data: TaskChartData) -> list[Chart]:
        """Return one chart, the best strategies first."""
        tuning = data.task_findings.tuning
        assert tuning is not None
        panels = response_panels(tuning, data.colours)
        shown = panels[:MAX_PANELS]
        figure = draw_response(shown, tuning.study.select_by[0], minimized=tuning.study.minimized)
        dot_texts = {f"trials{i}": [dot.text for dot in panel.dots] for i, panel in enumerate(shown)}
        return [Chart(self.name, self.title, _caption(panels, shown, tuning), figure, dot_texts)]


def response_panels(tuning: TaskTuning, colours: Mapping[str, str]) -> list[Panel]:
    """Return a panel for each searched key of each strategy with a score, with the baseline's trials in grey."""
    base = next((candidate for candidate in tuning.strategies if candidate.strategy == tuning.study.baseline), None)
    return [
        _panel(strategy, dimension, base, colours[strategy.strategy])
        for strategy in tuning.strategies
        for dimension in tuning.study.space.get(strategy.strategy, ())
        if any(trial.score is not None for trial in strategy.trials)
    ]


def draw_response(panels: Sequence[Panel], label: str, *, minimized: bool) -> "Figure":
    """Return a figure with common score axes, every trial as a dot and a ring around the chosen one.

    Args:
        panels: one or more.
        label: label of the score axes.
        minimized: whether low scores are good.
    """
    from matplotlib.ticker import MaxNLocator

    low, high = score_limits(_scores(panels), minimized=minimized)
    scores = style.ticks_between((low, high), MaxNLocator(4, steps=[1, 2, 5, 10]))
    with style.chart_style():
        names, colours = [panel.title for panel in panels], [panel.colour for panel in panels]
        figure, drawn = style.panel_grid(
            names,
            colours,
            {"ylim": (low, high)},
            panel_height=1.15,
            row_gap=0.42,
            bottom_margin=0.02,
            column_gap=0.2,
            max_width=2.6,
        )
        for i, (panel, axes) in enumerate(zip(panels, drawn, strict=True)):
            _draw_panel(axes, panel, i, (low, high))
            positions, texts = zip(*_ticks_with_off(panel), strict=True)
            style.set_panel_ticks(axes, positions, scores, labelled=style.is_leftmost(i))
            axes.set_xticklabels(texts)
        figure.text(0.1 / style.WIDTH, 0.5, label, rotation=90, ha="left", va="center")
    return figure


def score_limits(scores: Sequence[float], *, minimized: bool) -> tuple[float, float]:
    """Return the range of scores to show, with a margin: outliers must not compress the other scores."""
    values = np.array(scores)
    best = values.min() if minimized else values.max()
    reach = _MAX_DISTANCE * abs(best - float(np.median(values)))
    shown = values[np.abs(values - best) <= reach] if reach > 0 else values
    low, high = float(shown.min()), float(shown.max())
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def position_in_range(dimension: Dimension, value: Value) -> float | None:
    """Return the position of a value in its range, from 0 to 1; None if it is the off value."""
    if isinstance(dimension, Choice):
        return dimension.options.index(value) / max(1, len(dimension.options) - 1)
    assert isinstance(value, int | float)
    if value == dimension.off:
        return None
    scale = math.log if dimension.log else float
    return (scale(value) - scale(dimension.low)) / (scale(dimension.high) - scale(dimension.low))


def range_ticks(dimension: Dimension) -> list[tuple[float, str]]:
    """Return (position, text) of a few round values: powers of ten on a logarithmic range that contains several."""
    if isinstance(dimension, Choice):
        return [(position_in_range(dimension, option) or 0.0, str(option)) for option in dimension.options]
    from matplotlib.ticker import MaxNLocator

    first = math.ceil(math.log10(dimension.low) - 1e-9) if dimension.log else 0
    last = math.floor(math.log10(dimension.high) + 1e-9) if dimension.log else 0
    if dimension.log and last > first:
        step = -(-(last - first) // 3)
        values = [10.0**power for power in range(first, last + 1, step)]
    elif dimension.log:
        candidates = (part * 10.0**power for power in range(last - 1, last + 1) for part in (1, 2, 5))
        values = [value for value in candidates if dimension.low <= value <= dimension.high]
        values = values or [dimension.low, dimension.high]
    else:
        locator = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=dimension.whole)
        values = style.ticks_between((dimension.low, dimension.high), locator)
    scale = math.log if dimension.log else float
    width = scale(dimension.high) - scale(dimension.low)
    return [((scale(value) - scale(dimension.low)) / width, _format_tick(value)) for value in values]


def _panel(strategy: StrategyTuning, dimension: Dimension, base: StrategyTuning | None, colour: str) -> Panel:
    scored = [trial for trial in strategy.trials if trial.score is not None and dimension.key in trial.values]
    dots = []
    if base is not None and base.strategy != strategy.strategy:
        for trial in base.trials:
            if trial.score is not None and dimension.key in trial.values:
                dots.append(_dot(trial, position_in_range(dimension, trial.values[dimension.key]), style.BASELINE))
            elif trial.score is not None and dimension.key.startswith("regularizer."):
                dots.append(_dot(trial, None, style.BASELINE))
    chosen = next((i for i, trial in enumerate(scored, start=len(dots)) if trial.chosen), None)
    dots += [_dot(trial, position_in_range(dimension, trial.values[dimension.key]), colour) for trial in scored]
    return Panel(strategy.strategy, colour, short_key(dimension.key), range_ticks(dimension), dots, chosen)


def _dot(trial: TrialSummary, position: float | None, colour: str) -> Dot:
    assert trial.score is not None
    text = f"{trial.strategy}, trial {trial.number}: {trial.score:.5g} ({format_values(trial.values)})"
    return Dot(position, trial.score, text + (", pruned" if trial.status == "pruned" else ""), colour)


def _caption(panels: Sequence[Panel], shown: Sequence[Panel], tuning: TaskTuning) -> str:
    caption = (
        "One dot for each trial: its mean over tuning seeds against each searched value; the other values vary too. "
        "The ring marks the chosen trial."
    )
    if any(strategy.strategy == tuning.study.baseline for strategy in tuning.strategies):
        caption += f" Grey: {tuning.study.baseline}, where the strategy is off."
    if tuning.study.pruning is not None:
        caption += " Scores are those of the last rung that a trial was trained on."
    low, high = score_limits(_scores(shown), minimized=tuning.study.minimized)
    if any(not low <= score <= high for score in _scores(shown)):
        caption += " A triangle marks a trial beyond the range of the axis."
    if len(shown) < len(panels):
        caption += f" The first {len(shown)} of {len(panels)} panels are shown, the best strategies first."
    return caption


def _draw_panel(axes: "Axes", panel: Panel, number: int, limits: tuple[float, float]) -> None:
    low, high = limits
    has_off = _has_off(panel)
    if has_off:
        axes.axvline(_OFF / 2, color=style.GRID, linewidth=0.8, dashes=(3, 2))
    x = [_OFF + 0.025 * (i % 3 - 1) if dot.position is None else dot.position for i, dot in enumerate(panel.dots)]
    y = [min(max(dot.score, low), high) for dot in panel.dots]
    axes.scatter(x, y, s=20, c=[dot.colour for dot in panel.dots], alpha=0.85, linewidth=0.6, edgecolor=style.PAPER,
                 gid=f"trials{number}", zorder=3, clip_on=False)  # fmt: skip
    for trial_x, dot in zip(x, panel.dots, strict=True):
        if not low <= dot.score <= high:
            below = dot.score < low
            axes.plot(trial_x, low if below else high, "v" if below else "^", markersize=8, markerfacecolor="none",
                      markeredgecolor=dot.colour, clip_on=False, zorder=2)  # fmt: skip
    if panel.chosen is not None:
        axes.plot(x[panel.chosen], y[panel.chosen], "o", markersize=8.5, markerfacecolor="none",
                  markeredgecolor=style.INK, markeredgewidth=1.1, clip_on=False, zorder=4)  # fmt: skip
    axes.set_xlim((_OFF if has_off else 0) - 0.06, 1.06)
    axes.set_xlabel(panel.key, labelpad=2, size=style.SIZE - 1)


def _scores(panels: Sequence[Panel]) -> list[float]:
    return [dot.score for panel in panels for dot in panel.dots]


def _has_off(panel: Panel) -> bool:
    return any(dot.position is None for dot in panel.dots)


def _ticks_with_off(panel: Panel) -> list[tuple[float, str]]:
    """Return the ticks of the range, preceded by ``off`` if a trial has it."""
    if not _has_off(panel):
        return list(panel.ticks)
    distant_ticks = [tick for tick in panel.ticks if tick[0] > 0.1]  # their texts do not overlap with "off"
    return [(_OFF, "off"), *(distant_ticks if len(distant_ticks) > 1 else panel.ticks)]


def _format_tick(value: float) -> str:
    """Return a short text: ``0.01``, ``1e-4``."""
    if value == 0 or 0.01 <= abs(value) < 1e4:
        return f"{value:g}"
    number, _, power = f"{value:.3e}".partition("e")
    return f"{float(number):g}e{int(power)}"
