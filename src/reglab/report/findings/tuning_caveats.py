"""Caveats on the tuning of one task: unequal budgets, failed trials, values at the edge of a range, timings."""

from collections.abc import Mapping, Sequence
from statistics import median

from reglab.report.findings.leaderboard import Entry
from reglab.report.findings.tuning import StrategyTuning
from reglab.report.number_format import format_seconds
from reglab.report.study_record import StudyRecord, short_key
from reglab.report.trials import NO_SCORE
from reglab.schema.search_space import Choice, Dimension, Range, Value

MAX_SLOWDOWN = 2.0  # ratio between strategies; different seeds, and the first run of a process, account for less
MAX_TRIAL_TIME = 20.0  # times the median: neither searched values nor early stopping account for more
_NOT_COMPARABLE = "Training times of the strategies are not comparable, and equal compute is not shown."


def tuning_caveats(strategies: Sequence[StrategyTuning], study: StudyRecord) -> list[str]:
    """Return the caveats on budgets, failed trials and values at the edge of a range."""
    return [*unequal_budgets(strategies, study), *_failed_trials(strategies), *_values_at_edges(strategies, study)]


def timing_caveats(entries: Sequence[Entry], strategies: Sequence[StrategyTuning], study: StudyRecord) -> list[str]:
    """Return caveats if other processes on the machine changed the measured training times.

    Args:
        entries: the leaderboard of the task: training times on fresh seeds.
        strategies: the tuning of the task.
        study: its definition; with pruning, trainings have different lengths and nothing is reported.
    """
    if study.pruning is not None:
        return []
    return [f"{text} {_NOT_COMPARABLE}" for text in (*_unequal_slowdown(entries, strategies), *_stalled(strategies))]


def unequal_budgets(strategies: Sequence[StrategyTuning], study: StudyRecord) -> list[str]:
    """Return a caveat if tuned strategies have different numbers of trials; one without a search space has one."""
    tuned = [one for one in strategies if study.is_tuned(one.strategy)]
    counts = {one.strategy: one.started for one in tuned}
    if len(set(counts.values())) < 2:
        return []
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    caveat = f"Unequal tuning budgets: the strategies have different numbers of trials ({listed})."
    cut = [
        one.strategy
        for one in tuned
        if study.max_seconds and one.seconds >= study.max_seconds and one.started < study.trials
    ]
    if cut:
        caveat += f" study.max_seconds={study.max_seconds:g} ended the tuning of {', '.join(cut)}."
    return [caveat]


def edge_of_range(one: Dimension, value: Value) -> str | None:
    """Return ``low`` or ``high`` if a value is at that end of its range; None if the end is the off value."""
    if isinstance(one, Choice) or value == one.off:
        return None
    end = one.edge(value)
    return None if end is not None and getattr(one, end) == one.off else end


def _failed_trials(strategies: Sequence[StrategyTuning]) -> list[str]:
    caveats = []
    for one in strategies:
        failed: Mapping[str, int] = {status: one.count(status) for status in NO_SCORE}
        listed = [f"{count} {status}" for status, count in failed.items() if count]
        if listed:
            count = f"{sum(failed.values())} of {len(one.trials)} trials"
            consequence = "" if one.chosen else "; none was chosen, and the strategy is missing from the leaderboard"
            caveats.append(f"{one.strategy}: {count} without a score ({', '.join(listed)}){consequence}.")
    return caveats


def _values_at_edges(strategies: Sequence[StrategyTuning], study: StudyRecord) -> list[str]:
    caveats = []
    for strategy in strategies:
        for one in study.space.get(strategy.strategy, ()):
            value = strategy.chosen.values.get(one.key) if strategy.chosen else None
            if isinstance(one, Range) and value is not None and (end := edge_of_range(one, value)):
                where = f"{short_key(one.key)}={value:g}, searched from {one.low:g} to {one.high:g}"
                remedy = f"{'lower' if end == 'low' else 'raise'} study.space.{one.key}.{end}"
                caveat = f"{strategy.strategy}: the chosen value is at the edge of its range ({where}); {remedy}."
                if strategy.strategy == study.baseline:
                    caveat += " A better baseline beyond the edge would reduce every difference."
                caveats.append(caveat)
    return caveats


def _unequal_slowdown(entries: Sequence[Entry], strategies: Sequence[StrategyTuning]) -> list[str]:
    """Return a caveat if the ratio of training time on fresh seeds to that in tuning differs between strategies."""
    fresh = {entry.name: entry.seconds for entry in entries if entry.chosen and entry.seconds}
    tuned = {one.strategy: one.chosen.seconds / one.chosen.runs for one in strategies if one.chosen and one.chosen.runs}
    ratios = {name: fresh[name] / seconds for name, seconds in tuned.items() if seconds and name in fresh}
    if len(ratios) < 2 or max(ratios.values()) <= MAX_SLOWDOWN * min(ratios.values()):
        return []
    listed = [
        f"{name} {format_seconds(tuned[name])} s in tuning and {format_seconds(fresh[name])} s on fresh seeds"
        for name in (min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__))
    ]
    return [
        "Unreliable timings: other processes slowed training down. A run of the chosen trial took: "
        f"{'; '.join(listed)}."
    ]


def _stalled(strategies: Sequence[StrategyTuning]) -> list[str]:
    """Return a caveat if a trial took so much longer than others of its strategy that its process was suspended."""
    stalled = []
    for one in strategies:
        times = [trial.seconds / trial.runs for trial in one.trials if trial.runs and trial.seconds]
        if times and max(times) > MAX_TRIAL_TIME * median(times):
            stalled.append(f"{one.strategy} {format_seconds(max(times))} s, median {format_seconds(median(times))} s")
    return (
        [f"Unreliable timings: single trials took much longer than others ({'; '.join(stalled)})."] if stalled else []
    )
