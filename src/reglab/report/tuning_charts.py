"""The charts of a task's tuning, and their place among those of the task."""

import math
from collections.abc import Mapping, Sequence

from reglab.report import chart_growth, chart_trials
from reglab.report.budget import Budget
from reglab.report.chart_growth import Growth
from reglab.report.chart_trials import Dot, Panel
from reglab.report.charts import Chart
from reglab.report.expected_best import best_so_far, expected_best
from reglab.report.question import Question
from reglab.report.study_record import short
from reglab.report.style import BASELINE
from reglab.report.trials import Trial
from reglab.report.tuning import TaskTuning
from reglab.schema.search_space import Choice, Dimension, Value

PANELS = 32


def with_tuning(
    charts: Sequence[Chart], tuned: TaskTuning | None, question: Question, colours: Mapping[str, str]
) -> list[Chart]:
    """The charts of a task with those of its tuning: responses after the seeds, the growth with budget at the end."""
    if tuned is None:
        return list(charts)
    place = next((i for i, chart in enumerate(charts) if chart.name.startswith("curves")), None)
    if place is None:
        place = next((i + 1 for i, chart in enumerate(charts) if chart.name == "seeds"), 0)
    both = [*charts[:place], _response(tuned, colours), *charts[place:], _growth(tuned, question, colours)]
    return [chart for chart in both if chart is not None]


def place_of(one: Dimension, value: Value) -> float | None:
    """Where a value lies in its range, from 0 to 1; None where it is off."""
    if isinstance(one, Choice):
        return one.options.index(value) / max(1, len(one.options) - 1)
    assert isinstance(value, int | float)
    if value == one.off:
        return None
    scale = math.log if one.log else float
    return (scale(value) - scale(one.low)) / (scale(one.high) - scale(one.low))


def ticks(one: Dimension) -> list[tuple[float, str]]:
    """(place, text) of a few round values: powers of ten on a logarithmic range that holds several."""
    if isinstance(one, Choice):
        return [(place_of(one, option) or 0.0, str(option)) for option in one.options]
    from matplotlib.ticker import MaxNLocator

    first, last = math.ceil(math.log10(one.low) - 1e-9) if one.log else 0, 0
    if one.log:
        last = math.floor(math.log10(one.high) + 1e-9)
    if one.log and last > first:
        step = -(-(last - first) // 3)
        values = [10.0**power for power in range(first, last + 1, step)]
    elif one.log:
        parts = (part * 10.0**power for power in range(last - 1, last + 1) for part in (1, 2, 5))
        values = [value for value in parts if one.low <= value <= one.high] or [one.low, one.high]
    else:
        locator = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=one.whole)
        values = [v for v in map(float, locator.tick_values(one.low, one.high)) if one.low <= v <= one.high]
    scale = math.log if one.log else float
    return [((scale(v) - scale(one.low)) / (scale(one.high) - scale(one.low)), _tick(v)) for v in values]


def _tick(value: float) -> str:
    """``1e-4`` and ``0.01``: short enough to stand beside others."""
    if value == 0 or 0.01 <= abs(value) < 1e4:
        return f"{value:g}"
    number, _, power = f"{value:.3e}".partition("e")
    return f"{float(number):g}e{int(power)}"


def told(values: Mapping[str, Value]) -> str:
    """``lr=0.0022, dropout.p=0.31``."""
    return ", ".join(
        f"{short(key)}={v:g}" if isinstance(v, float) else f"{short(key)}={v}" for key, v in values.items()
    )


def _response(tuned: TaskTuning, colours: Mapping[str, str]) -> Chart | None:
    base = next((row for row in tuned.budgets if row.strategy == tuned.study.baseline), None)
    panels = [
        _panel(row, one, base, colours[row.strategy])
        for row in tuned.budgets
        for one in tuned.study.space.get(row.strategy, ())
        if any(trial.score is not None for trial in row.trials)
    ]
    if not panels:
        return None
    shown = panels[:PANELS]
    figure = chart_trials.response(shown, tuned.study.select_by[0], minimized=tuned.study.minimized)
    caption = (
        "One dot a trial, its mean over tuning seeds, by each value that was searched, while its others vary too; the "
        "ring marks the chosen one."
    )
    if base is not None:
        caption += f" Grey: {base.strategy}, where the strategy is off."
    if tuned.study.pruning is not None:
        caption += " Each trial at the last rung that it was trained on."
    if any(
        not low <= dot.score <= high for panel in shown for dot in panel.dots for low, high in [_limits(shown, tuned)]
    ):
        caption += " A triangle points at a trial that lies beyond the scale."
    if len(shown) < len(panels):
        caption += f" The first {len(shown)} of {len(panels)} are shown, the best strategies first."
    return Chart("response", "Response to what was searched", caption, figure, chart_trials.titles(shown))


def _limits(panels: Sequence[Panel], tuned: TaskTuning) -> tuple[float, float]:
    scores = [dot.score for panel in panels for dot in panel.dots]
    return chart_trials.limits(scores, minimized=tuned.study.minimized)


def _panel(row: Budget, one: Dimension, base: Budget | None, colour: str) -> Panel:
    own = [trial for trial in row.trials if trial.score is not None and one.key in trial.values]
    dots = []
    if base is not None and base.strategy != row.strategy:
        for trial in base.trials:
            if trial.score is not None and one.key in trial.values:
                dots.append(_dot(trial, place_of(one, trial.values[one.key]), BASELINE))
            elif trial.score is not None and one.key.startswith("regularizer."):
                dots.append(_dot(trial, None, BASELINE))
    chosen = next((i for i, trial in enumerate(own, start=len(dots)) if trial.chosen), None)
    dots += [_dot(trial, place_of(one, trial.values[one.key]), colour) for trial in own]
    return Panel(row.strategy, colour, short(one.key), ticks(one), dots, chosen)


def _dot(trial: Trial, place: float | None, colour: str) -> Dot:
    assert trial.score is not None
    text = f"{trial.strategy}, trial {trial.number}: {trial.score:.5g} ({told(trial.values)})"
    return Dot(place, trial.score, text + (", pruned" if trial.status == "pruned" else ""), colour)


def _growth(tuned: TaskTuning, question: Question, colours: Mapping[str, str]) -> Chart | None:
    """None where trials were pruned: they were trained for unlike times, and their scores are not of one kind."""
    study = tuned.study
    rows = [row for row in tuned.budgets if len(row.trials) > 1 and any(t.score is not None for t in row.trials)]
    if not rows or study.pruning is not None:
        return None
    of = expected_best if study.exchangeable else best_so_far
    lines = []
    for row in rows:
        scores, tests = [trial.score for trial in row.trials], [trial.test for trial in row.trials]
        lines.append(
            Growth(
                row.strategy,
                colours[row.strategy],
                of(scores, minimized=study.minimized),
                of(scores, tests, minimized=study.minimized),
                row.seconds / len(row.trials),
            )
        )
    if study.exchangeable:
        caption = (
            "What tuning with fewer trials would have found: the mean over all choices of k of the trials, exactly "
            "(Dodge et al. 2019, without replacement). Below, the test of the trial that validation would have chosen, "
            "on the tuning seeds. A line that still rises at its end would gain from more trials."
        )
        if study.minimized:
            caption = caption.replace("still rises", "still falls")
    else:
        caption = (
            "The best of the trials so far, in the order in which they were tried: each was chosen in the light of "
            "those before it. Below, the test of that trial, on the tuning seeds."
        )
    best = "expected best" if study.exchangeable else "best so far"
    figure = chart_growth.growth(lines, f"{best} {study.select_by[0]}", f"{question.metric} of it")
    return Chart("growth", "What more tuning brings", caption, figure, spots=chart_growth.spots(lines, figure))
