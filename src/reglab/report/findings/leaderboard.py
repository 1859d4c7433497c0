"""The leaderboard of one task: entries with paired differences from the baseline, adjusted tests and verdicts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reglab.report.arms import Arm, ArmTable, Selection
from reglab.report.findings.verdicts import Verdict, verdict_on_strategy
from reglab.report.number_format import format_fixed, format_signed
from reglab.report.question import Question
from reglab.report.statistics import paired
from reglab.report.statistics.paired import Interval
from reglab.report.statistics.power import MAX_PAIRS, minimum_detectable_difference, pairs_needed


@dataclass(frozen=True)
class Entry:
    """An entry of a leaderboard; values that cannot be computed are None.

    Attributes:
        label: label of the arm: strategy and strengths.
        strategy: strategy of the arm.
        n: number of seeds; of tasks in an overall leaderboard.
        mean, std, interval: mean, standard deviation and 95 % bootstrap interval of the metric.
        diff, diff_interval, diff_std: mean, 95 % interval and standard deviation of the paired differences.
        pairs: number of paired differences.
        p, p_holm: p value of Wilcoxon's test, and the same after Holm's correction.
        p_t, p_t_holm: p value of the t-test where splits overlap, and the same after Holm's correction.
        method: how `p` was computed.
        rank: rank by mean, from 1.
        seconds: mean training time of a run.
        selected_on: mean of the metric by which strengths were selected.
        chosen: whether the arm represents its strategy.
        has_alternatives: whether the strategy has several arms, one of which was selected.
        baseline: whether it is the baseline.
        verdict: the answer about the strategy.
        reason: why the verdict is no difference, if `p_holm` and `diff_interval` do not show it; else empty.
    """

    label: str
    strategy: str
    n: int
    mean: float | None = None
    std: float | None = None
    interval: Interval | None = None
    diff: float | None = None
    diff_interval: Interval | None = None
    diff_std: float | None = None
    pairs: int = 0
    p: float | None = None
    p_holm: float | None = None
    p_t: float | None = None
    p_t_holm: float | None = None
    method: str = ""
    rank: float | None = None
    seconds: float | None = None
    selected_on: float | None = None
    chosen: bool = True
    has_alternatives: bool = False
    baseline: bool = False
    verdict: Verdict = Verdict.UNTESTED
    reason: str = ""


def task_leaderboard(table: ArmTable, selection: Selection, question: Question, overlap: float) -> list[Entry]:
    """Return the entries of one task, best first; differences are paired with the baseline by replicate.

    Args:
        table: the arms of the task.
        selection: the arms that represent their strategies.
        question: metric, direction and baseline.
        overlap: overlap of splits (see `paired.paired_difference`).
    """
    base = baseline_arm(table, selection, question)
    strategies = [arm.strategy for arm in table.arms]
    entries = []
    for arm in table.arms:
        entry = replace(
            summarize(arm.label, arm.strategy, list(arm.values(question.metric).values())),
            seconds=arm.mean("time/train_s"),
            selected_on=selection.scores.get(arm.label),
            chosen=selection.represents(arm),
            has_alternatives=strategies.count(arm.strategy) > 1,
            baseline=arm is base,
        )
        pairs = paired_values(arm, base, question.metric) if base and arm is not base else []
        entries.append(add_difference(entry, pairs, overlap))
    return rank_entries(entries, question)


def baseline_arm(table: ArmTable, selection: Selection, question: Question) -> Arm | None:
    """Return the arm that others are compared with: the baseline, or the one selected among its strengths."""
    arms = [arm for arm in table.arms if arm.runs and question.baseline in (arm.strategy, arm.label)]
    return next((arm for arm in arms if selection.represents(arm) or arm.label == question.baseline), None)


def paired_values(arm: Arm, base: Arm, metric: str) -> list[tuple[float, float]]:
    """Return (value of the arm, value of the baseline) for the replicates that both have."""
    own, other = arm.values(metric), base.values(metric)
    return [(own[replicate], other[replicate]) for replicate in own if replicate in other]


def summarize(label: str, strategy: str, values: Sequence[float]) -> Entry:
    """Return an entry with mean, standard deviation (n - 1 in the denominator) and bootstrap interval."""
    if not values:
        return Entry(label, strategy, 0, chosen=False)
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Entry(label, strategy, len(values), float(np.mean(values)), std, paired.bootstrap_interval(values))


def add_difference(entry: Entry, pairs: Sequence[tuple[float, float]], overlap: float) -> Entry:
    """Return the entry with its paired difference; unchanged without pairs.

    Args:
        entry: entry without a difference.
        pairs: (value, value of the baseline).
        overlap: overlap of splits (see `paired.paired_difference`).
    """
    if not pairs:
        return entry
    own, base = map(np.array, zip(*pairs, strict=True))
    errors = paired.float32_errors(own) + paired.float32_errors(base)
    difference = paired.paired_difference(own - base, errors=errors, overlap=overlap)
    return replace(
        entry,
        diff=difference.mean,
        diff_interval=difference.interval,
        diff_std=difference.std,
        pairs=difference.pairs,
        p=difference.p,
        p_t=difference.p_t if overlap else None,
        method=difference.method,
    )


def rank_entries(
    entries: Sequence[Entry], question: Question, ranks: Sequence[float | None] | None = None
) -> list[Entry]:
    """Return the entries with adjusted p values, verdicts and ranks, sorted by rank; those without a rank last.

    Args:
        entries: Holm's correction is over all that have a p.
        question: whether higher is better.
        ranks: mean ranks of the entries over tasks, of which the differences are over data sets; default: ranks by
            their means, and differences over seeds.
    """
    comparisons = sum(entry.p is not None for entry in entries)
    p_holm = _adjust([entry.p for entry in entries])
    p_t_holm = _adjust([entry.p_t for entry in entries])
    over_data_sets = ranks is not None
    if ranks is None:
        means = [entry.mean for entry in entries if entry.mean is not None]
        ranks_of_means = iter(paired.rank_values(means, highest_first=question.higher) if means else [])
        ranks = [None if entry.mean is None else next(ranks_of_means) for entry in entries]
    ranked = [
        _judge(replace(entry, rank=rank, p_holm=p, p_t_holm=p_t), comparisons, question.higher, over_data_sets)
        for entry, rank, p, p_t in zip(entries, ranks, p_holm, p_t_holm, strict=True)
    ]
    return sorted(ranked, key=lambda entry: (entry.rank is None, entry.rank or 0.0, entry.label))


def decimal_places(entries: Sequence[Entry]) -> int:
    """Return the number of decimals for a whole table, 0 to 6: enough to resolve a fifth of the typical spread.

    The spread is the median standard deviation, or, if it is smaller (data sets differ more than strategies do on
    each), the median half width of the intervals of differences.
    """
    spreads = [entry.std for entry in entries if entry.std]
    widths = [(entry.diff_interval[1] - entry.diff_interval[0]) / 2 for entry in entries if entry.diff_interval]
    smallest = min((median for values in (spreads, widths) if (median := _positive_median(values))), default=None)
    if smallest is not None:
        return min(6, max(0, math.ceil(math.log10(5 / smallest))))
    sizes = [abs(entry.mean) for entry in entries if entry.mean]
    return min(6, max(0, 3 - math.floor(math.log10(max(sizes))) - 1)) if sizes else 3


def _adjust(p: Sequence[float | None]) -> list[float | None]:
    """Return Holm's p for the values that are not None."""
    adjusted = iter(paired.holm([value for value in p if value is not None]))
    return [None if value is None else next(adjusted) for value in p]


def _judge(entry: Entry, comparisons: int, higher: bool, over_data_sets: bool) -> Entry:
    """Return the entry with verdict and reason."""
    if entry.baseline:
        return replace(entry, verdict=Verdict.BASELINE)
    if entry.n == 0:
        return replace(entry, verdict=Verdict.NO_RESULT)
    if entry.p_holm is None or entry.diff is None:
        return entry
    outcome, reason = paired.judge_difference(
        entry.diff, entry.diff_interval, entry.p_holm, entry.p_t_holm, entry.pairs, comparisons
    )
    verdict = verdict_on_strategy(outcome, higher=higher, over_data_sets=over_data_sets)
    return replace(entry, verdict=verdict, reason=reason)


def _positive_median(values: Sequence[float]) -> float | None:
    positive = sorted(value for value in values if value > 0)
    return positive[len(positive) // 2] if positive else None


@dataclass(frozen=True)
class DetectableDifference:
    """Sensitivity of one comparison with the baseline.

    Attributes:
        entry: the comparison.
        smallest: minimum detectable difference at 80 % power; None if no difference can be significant.
        needed: number of seeds that gives 80 % power for a true difference equal to the observed one; None
            if there is no such number (see `power.pairs_needed`).
    """

    entry: Entry
    smallest: float | None
    needed: int | None


def detectable_differences(entries: Sequence[Entry], overlap: float) -> list[DetectableDifference]:
    """Return the sensitivity of the entries that represent their strategies, adjusted for all comparisons."""
    tested = [entry for entry in entries if entry.p is not None]
    return [
        DetectableDifference(
            entry,
            minimum_detectable_difference(entry.diff_std, entry.pairs, len(tested), overlap),
            pairs_needed(entry.diff, entry.diff_std, len(tested), overlap),
        )
        for entry in tested
        if entry.chosen and entry.diff is not None and entry.diff_std
    ]


def describe_detectable(detectable: Sequence[DetectableDifference], entries: Sequence[Entry], overlap: float) -> str:
    """Return a sentence with the range of detectable differences and the seeds needed for the best unclear entry."""
    if not detectable:
        return ""
    digits = decimal_places(entries)
    counts = sorted({sensitivity.entry.pairs for sensitivity in detectable})
    seeds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    sizes = [sensitivity.smallest for sensitivity in detectable if sensitivity.smallest is not None]
    if sizes:
        least, most = format_fixed(min(sizes), digits), format_fixed(max(sizes), digits)
        size = least if least == most else f"{least} to {most} (by strategy)"
        text = f"Minimum detectable difference with {seeds} paired seeds: {size}, at 80 % power"
    else:
        text = f"With {seeds} paired seeds no difference, however large, could be significant"
    return f"{text}.{_describe_needed(detectable, digits, overlap)}"


def _describe_needed(found: Sequence[DetectableDifference], digits: int, overlap: float) -> str:
    unclear = [one for one in found if not one.entry.verdict.is_difference and one.entry.diff]
    if not unclear:
        return ""
    best = unclear[0]
    difference = f"{format_signed(best.entry.diff, digits)} of {best.entry.label}"
    if best.needed is not None:
        if best.needed <= best.entry.pairs:
            return ""
        return f" If the observed {difference} were the true difference, {best.needed:,} seeds would be needed."
    if overlap:
        return (
            f" If the observed {difference} were the true difference, no number of seeds would be enough, because "
            "splits share rows."
        )
    return f" If the observed {difference} were the true difference, more than {MAX_PAIRS:,} seeds would be needed."
