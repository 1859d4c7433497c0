"""The numbers behind a comparison: intervals, paired differences, Wilcoxon's test, Holm's correction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reglab.report.number_format import p_value

LEVEL = 0.95
ALPHA = 0.05
RESAMPLES = 9999
_ENUMERATED = 13  # with ties or zeros, all 2**n sign patterns are counted up to this n (scipy's own limit)
_LAST_BITS = 1e-11  # of float64 sums and differences, in units of the largest

Interval = tuple[float, float]


def interval_of_mean(values: Sequence[float]) -> Interval | None:
    """95 % BCa bootstrap interval of the mean (Efron 1987), always with the same resamples.

    None for fewer than three values, where resampling says nothing. Equal values give an interval of width zero.
    """
    if len(values) < 3:
        return None
    sample = np.asarray(values, dtype=float)
    if np.ptp(sample) == 0:
        return float(sample[0]), float(sample[0])
    from scipy.stats import bootstrap

    result = bootstrap((sample,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, rng=np.random.default_rng(0))
    low, high = result.confidence_interval
    if not (math.isfinite(low) and math.isfinite(high)):  # BCa's acceleration can degenerate
        return None
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """Paired differences summed up: their mean, its 95 % interval, and Wilcoxon's two-sided p.

    `std` is the standard deviation of the differences (n - 1 in the denominator); one pair has none, and no interval.
    `p_t` is the two-sided p of the t-test that belongs to the interval, 1 for one pair.
    """

    pairs: int
    mean: float
    std: float | None
    interval: Interval | None
    p: float
    method: str
    p_t: float = 1.0


def paired(
    differences: Sequence[float] | np.ndarray, *, errors: np.ndarray | None = None, overlap: float = 0.0
) -> Difference:
    """Mean difference with its interval and p.

    Args:
        differences: strategy minus baseline, one value a pair; at least one.
        errors: how far each may be off (see `clean`).
        overlap: rows tested over rows not tested where splits vary over one finite data set, else 0. The variance of
            the mean is s^2 (1/n + overlap), the corrected resampled t (Nadeau and Bengio 2003); 0 is the plain t.
    """
    values = clean(differences, errors)
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


def errors_of(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """How far each value may be off because it came as float32: half a unit in its last place, 2**-24 of its size.

    A difference is off by the errors of both together. Accuracies of .801, .800, .799 would else give no tie, and the
    sign test of ranks another p.
    """
    return 2.0**-24 * np.abs(np.asarray(values, dtype=float))


def clean(values: Sequence[float] | np.ndarray, errors: np.ndarray | None = None) -> np.ndarray:
    """The values, with sizes made equal that lie within their errors of each other, and zero what lies within its own.

    Args:
        values: (n,).
        errors: (n,), how far each may be off; None: the last bits of float64 sums.
    """
    array = np.asarray(values, dtype=float)
    sizes = np.abs(array)
    order = np.argsort(sizes, kind="stable")
    bound = np.full(len(array), _LAST_BITS * sizes.max(initial=0.0)) if errors is None else errors[order]
    apart = np.diff(sizes[order], prepend=0.0) > bound + np.append(0.0, bound)[: len(array)]
    group = np.cumsum(apart)  # 0: those that are zero
    total, count = np.bincount(group, sizes[order]), np.bincount(group)
    cleaned = np.empty_like(array)
    cleaned[order] = np.where(group == 0, 0.0, np.copysign((total / np.maximum(count, 1))[group], array[order]))
    return cleaned


def wilcoxon(differences: Sequence[float] | np.ndarray) -> tuple[float, str]:
    """Two-sided signed-rank p and how it was found; zeros are dropped (Wilcoxon 1945), ties share their mean rank.

    Exact up to 50 pairs without ties or zeros and up to 13 with them, else the normal approximation.
    """
    values = clean(differences)
    nonzero = values[values != 0]
    if len(nonzero) == 0:
        return 1.0, "all differences are zero"
    tied = len(np.unique(np.abs(nonzero))) < len(nonzero)
    if (tied or len(nonzero) < len(values)) and len(values) <= _ENUMERATED:
        return _enumerated(nonzero), "exact"
    from scipy.stats import wilcoxon as signed_rank

    exact = len(values) <= 50 and not tied and len(nonzero) == len(values)
    return float(signed_rank(values).pvalue), "exact" if exact else "normal approximation"


def _enumerated(nonzero: np.ndarray) -> float:
    """Share of all sign patterns at least as extreme: equal to scipy's permutation of signs, a hundred times faster."""
    from scipy.stats import rankdata

    ranks = rankdata(np.abs(nonzero))
    observed = ranks[nonzero > 0].sum()
    sums = np.zeros(1)
    for rank in ranks:
        sums = np.concatenate([sums, sums + rank])
    tail = min((sums <= observed + 1e-9).mean(), (sums >= observed - 1e-9).mean())
    return float(min(1.0, 2 * tail))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979) of a family of p values, in their order, at most 1."""
    adjusted, highest = [0.0] * len(p), 0.0
    for place, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        highest = max(highest, min(1.0, (len(p) - place) * p[i]))
        adjusted[i] = highest
    return adjusted


def claims(p_holm: float, interval: Interval | None, p_t_holm: float | None) -> bool:
    """Whether a difference may be claimed: Holm's p below .05 and an interval without zero.

    Wilcoxon's test assumes that pairs are independent, and the interval is for one comparison. Where splits overlap
    (`p_t_holm` is not None), the corrected resampled t-test must be significant as well, after Holm's correction: in
    simulation, seven strategies without any effect would otherwise give a claim in every fourth study.
    """
    low, high = interval or (0.0, 0.0)
    return p_holm < ALPHA and not low <= 0 <= high and (p_t_holm is None or p_t_holm < ALPHA)


def why_unclear(p_holm: float, interval: Interval | None, p_t_holm: float | None, comparisons: int) -> str:
    """Return why `claims` is False, if the adjusted p and the interval alone do not show it; else the empty text.

    Args:
        p_holm: of Wilcoxon's test, adjusted.
        interval: of the difference, 95 %, for one comparison.
        p_t_holm: of the t-test corrected for rows that splits share, adjusted; None if they share none.
        comparisons: that both p are adjusted for.
    """
    if claims(p_holm, interval, None):
        return (
            "the corrected resampled t-test, which accounts for rows that seeds share, has an adjusted p of "
            f"{p_value(p_t_holm)}"
        )
    if p_holm < ALPHA:
        return "the interval of the difference includes zero"
    if interval is None or interval[0] <= 0 <= interval[1]:
        return ""
    one = comparisons == 1
    adjusted = "" if one else f", adjusted for {comparisons} comparisons,"
    return (
        f"p of Wilcoxon’s test{adjusted} is not below {ALPHA:g}; the interval is that of a t-test"
        f"{'' if one else ' for one comparison'}"
    )


def smallest_p(pairs: int) -> float:
    """The smallest two-sided p that so many pairs can reach: all differences on one side, 2 / 2**pairs."""
    return min(1.0, 2.0 ** (1 - pairs))


def too_few(pairs: int, comparisons: int) -> bool:
    """Return whether no outcome could be significant after correction for the number of comparisons."""
    return smallest_p(pairs) * comparisons > ALPHA


def ranks(values: Sequence[float], highest_first: bool) -> list[float]:
    """Ranks from 1 (best); equal values share their mean rank."""
    from scipy.stats import rankdata

    told_apart = clean(values, errors_of(values))
    return [float(r) for r in rankdata(-told_apart if highest_first else told_apart)]
