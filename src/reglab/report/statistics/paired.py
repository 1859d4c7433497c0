"""Paired comparisons: confidence intervals, Wilcoxon's signed-rank test, Holm's correction, and the rule for claims."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reglab.report.number_format import format_p

LEVEL = 0.95  # of confidence intervals
ALPHA = 0.05
RESAMPLES = 9999  # of the bootstrap
_ENUMERATED = 13  # pairs up to which all 2**n sign patterns are counted if there are ties or zeros (scipy's limit)
_ROUNDING = 1e-11  # error of float64 sums and differences, relative to the largest

Interval = tuple[float, float]
# Of a difference: significantly positive or negative, too few pairs for any significant result, or undecided.
Outcome = Literal["positive", "negative", "too few", "unclear"]


def bootstrap_interval(values: Sequence[float]) -> Interval | None:
    """Return the 95 % BCa bootstrap interval of the mean (Efron 1987), with a fixed seed.

    Returns:
        None for fewer than three values, for which resampling is meaningless, and for degenerate samples; an interval
        of width zero if all values are equal.
    """
    if len(values) < 3:
        return None
    sample = np.asarray(values, dtype=float)
    if np.ptp(sample) == 0:
        return float(sample[0]), float(sample[0])
    from scipy.stats import bootstrap

    result = bootstrap((sample,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, rng=np.random.default_rng(0))
    low, high = result.confidence_interval
    if not (math.isfinite(low) and math.isfinite(high)):  # BCa's acceleration can be undefined
        return None
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """Summary of paired differences.

    Attributes:
        pairs: number of differences.
        mean: mean of the differences.
        std: standard deviation (n - 1 in the denominator); None for one pair.
        interval: 95 % confidence interval of the mean; None for one pair.
        p: two-sided, of Wilcoxon's signed-rank test.
        method: how `p` was computed: ``exact``, ``normal approximation``, or a note.
        p_t: two-sided, of the t-test that belongs to the interval; 1 for one pair.
    """

    pairs: int
    mean: float
    std: float | None
    interval: Interval | None
    p: float
    method: str
    p_t: float = 1.0


def paired_difference(
    differences: Sequence[float] | np.ndarray, *, errors: np.ndarray | None = None, overlap: float = 0.0
) -> Difference:
    """Return the mean of paired differences with its confidence interval and p values.

    Args:
        differences: strategy minus baseline, one value for each pair; at least one pair.
        errors: rounding error of each difference (see `merge_ties`).
        overlap: tested rows over other rows where splits vary over one finite data set, else 0. The variance of
            the mean is s^2 (1/n + overlap), the corrected resampled t-test (Nadeau and Bengio 2003); 0 is the plain
            t-test.

    >>> difference = paired_difference([0.05, 0.06, 0.04, 0.06, 0.07, 0.04])
    >>> round(difference.mean, 4), [round(end, 4) for end in difference.interval], difference.p
    (0.0533, [0.0406, 0.066], 0.03125)
    """
    values = merge_ties(differences, errors)
    n, mean = len(values), float(values.mean())
    std, interval, p_t = None, None, 1.0
    if n > 1:
        from scipy.special import stdtr, stdtrit

        std = float(values.std(ddof=1))
        error = std * math.sqrt(1 / n + overlap)
        half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * error
        interval = (mean - half, mean + half)
        p_t = 2 * float(stdtr(n - 1, -abs(mean) / error)) if error else float(mean == 0)
    p, method = wilcoxon(values)
    return Difference(n, mean, std, interval, p, method, p_t)


def float32_errors(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the rounding error of values that were float32: half a unit in the last place, 2**-24 of their size.

    The error of a difference is the sum of both errors. Differences that are equal within it are ties of Wilcoxon's
    test: the accuracies 0.7, 0.6 and 0.5 are evenly spaced, although their float32 values differ by 0.09999996 and
    0.10000002.
    """
    return 2.0**-24 * np.abs(np.asarray(values, dtype=float))


def merge_ties(values: Sequence[float] | np.ndarray, errors: np.ndarray | None = None) -> np.ndarray:
    """Return the values with absolute values that are equal within their errors made equal, and zero made zero.

    Args:
        values: shape (n,).
        errors: shape (n,), rounding error of each value; None: that of float64 sums.
    """
    array = np.asarray(values, dtype=float)
    sizes = np.abs(array)
    order = np.argsort(sizes, kind="stable")
    bound = np.full(len(array), _ROUNDING * sizes.max(initial=0.0)) if errors is None else errors[order]
    apart = np.diff(sizes[order], prepend=0.0) > bound + np.append(0.0, bound)[: len(array)]
    group = np.cumsum(apart)  # group 0 is zero
    total, count = np.bincount(group, sizes[order]), np.bincount(group)
    merged = np.empty_like(array)
    merged[order] = np.where(group == 0, 0.0, np.copysign((total / np.maximum(count, 1))[group], array[order]))
    return merged


def wilcoxon(differences: Sequence[float] | np.ndarray) -> tuple[float, str]:
    """Return the two-sided p of the signed-rank test and how it was computed.

    Zeros are dropped (Wilcoxon 1945), ties share their mean rank. Exact up to 50 pairs without ties or zeros and up to
    13 pairs with them, else the normal approximation.
    """
    values = merge_ties(differences)
    nonzero = values[values != 0]
    if len(nonzero) == 0:
        return 1.0, "all differences are zero"
    tied = len(np.unique(np.abs(nonzero))) < len(nonzero)
    if (tied or len(nonzero) < len(values)) and len(values) <= _ENUMERATED:
        return _enumerate_signs(nonzero), "exact"
    from scipy.stats import wilcoxon as signed_rank

    exact = len(values) <= 50 and not tied and len(nonzero) == len(values)
    return float(signed_rank(values).pvalue), "exact" if exact else "normal approximation"


def _enumerate_signs(nonzero: np.ndarray) -> float:
    """Return the share of sign patterns at least as extreme: scipy's permutation test, a hundred times faster."""
    from scipy.stats import rankdata

    ranks = rankdata(np.abs(nonzero))
    observed = ranks[nonzero > 0].sum()
    sums = np.zeros(1)
    for rank in ranks:
        sums = np.concatenate([sums, sums + rank])
    tail = min((sums <= observed + 1e-9).mean(), (sums >= observed - 1e-9).mean())
    return float(min(1.0, 2 * tail))


def holm(p: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number by Holm's step-down method (1979), at most 1, in the same order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p), 0.0
    for position, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        highest = max(highest, min(1.0, (len(p) - position) * p[i]))
        adjusted[i] = highest
    return adjusted


def is_significant(p_holm: float, interval: Interval | None, p_t_holm: float | None) -> bool:
    """Return whether a difference may be claimed: adjusted p below .05 and a confidence interval without zero.

    Wilcoxon's test assumes independent pairs, and the interval is for a single comparison. Where splits overlap
    (`p_t_holm` is not None), the corrected resampled t-test must be significant as well, after Holm's correction:
    without it, simulated studies of seven strategies without any effect claim a difference in one of four.
    """
    low, high = interval or (0.0, 0.0)
    return p_holm < ALPHA and not low <= 0 <= high and (p_t_holm is None or p_t_holm < ALPHA)


def judge_difference(
    mean: float, interval: Interval | None, p_holm: float, p_t_holm: float | None, pairs: int, comparisons: int
) -> tuple[Outcome, str]:
    """Return the outcome of a comparison, and the reason of ``unclear`` if p and interval do not show it.

    Args:
        mean: mean of the paired differences.
        interval: 95 % confidence interval of the mean, for a single comparison.
        p_holm: p value of Wilcoxon's test, adjusted.
        p_t_holm: adjusted p value of the t-test corrected for rows that splits share; None if they share none.
        pairs: number of differences.
        comparisons: number of comparisons for which both p values are adjusted.
    """
    if is_significant(p_holm, interval, p_t_holm):
        return "positive" if mean > 0 else "negative", ""
    if p_holm >= ALPHA and too_few_pairs(pairs, comparisons):
        return "too few", ""
    return "unclear", _reason_unclear(p_holm, interval, p_t_holm, comparisons)


def _reason_unclear(p_holm: float, interval: Interval | None, p_t_holm: float | None, comparisons: int) -> str:
    if is_significant(p_holm, interval, None):
        return (
            "the corrected resampled t-test, which accounts for rows that seeds share, has an adjusted p of "
            f"{format_p(p_t_holm)}"
        )
    if p_holm < ALPHA:
        return "the interval of the difference includes zero"
    if interval is None or interval[0] <= 0 <= interval[1]:
        return ""
    single = comparisons == 1
    adjusted = "" if single else f", adjusted for {comparisons} comparisons,"
    return (
        f"p of Wilcoxon’s test{adjusted} is not below {ALPHA:g}; the interval is that of a t-test"
        f"{'' if single else ' for one comparison'}"
    )


def smallest_p(pairs: int) -> float:
    """Return the smallest two-sided p of the signed-rank test: 2 / 2**pairs, for differences of one sign."""
    return min(1.0, 2.0 ** (1 - pairs))


def too_few_pairs(pairs: int, comparisons: int) -> bool:
    """Return whether no outcome could be significant after correction for the number of comparisons."""
    return smallest_p(pairs) * comparisons > ALPHA


def rank_values(values: Sequence[float], highest_first: bool) -> list[float]:
    """Return ranks from 1 (best); values that are equal up to float32 rounding share their mean rank."""
    from scipy.stats import rankdata

    merged = merge_ties(values, float32_errors(values))
    return [float(rank) for rank in rankdata(-merged if highest_first else merged)]
