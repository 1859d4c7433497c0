"""Power of a paired comparison: minimum detectable difference, and the number of pairs that a difference needs.

A claim needs Wilcoxon's signed-rank test and, where splits overlap, the corrected resampled t-test, both after Holm's
correction. The level alpha / comparisons (Bonferroni) replaces Holm's first step; differences are assumed normal.
"""

import math
from functools import cache

import numpy as np

from reglab.report.statistics.paired import ALPHA

POWER = 0.8
MAX_PAIRS = 10_000  # limit of the search for the number of pairs
MAX_SIMULATED = 30  # pairs; for more, the asymptotic efficiency of Wilcoxon's test is accurate
EFFICIENCY = 3 / np.pi  # Pitman efficiency of Wilcoxon's test relative to the t-test, normal data (Lehmann 2006)
_DRAWS = 8192


def minimum_detectable_difference(spread: float, pairs: int, comparisons: int, overlap: float = 0.0) -> float | None:
    """Return the smallest true difference that is detected with 80 % power.

    Args:
        spread: standard deviation of the paired differences, in units of the metric.
        pairs: number of pairs, at least two.
        comparisons: number of comparisons for which Holm's correction adjusts.
        overlap: tested rows over other rows (Nadeau and Bengio 2003); 0 is the plain t-test.

    Returns:
        The difference in units of the metric; None if no difference can be significant with so few pairs.
    """
    shift = _minimum_shift(pairs, comparisons, overlap)
    return None if shift is None else spread * shift


def pairs_needed(difference: float, spread: float, comparisons: int, overlap: float = 0.0) -> int | None:
    """Return the smallest number of pairs with 80 % power for a difference.

    Args:
        difference, spread: true mean and standard deviation of the paired differences, in units of the metric.
        comparisons, overlap: see `minimum_detectable_difference`.

    Returns:
        None above `MAX_PAIRS`, and if overlap forbids it: the variance of a mean never falls below
        overlap * spread^2, however many pairs there are.
    """
    from scipy.stats import norm

    if difference == 0:
        return None
    shift = abs(difference) / spread
    asymptotic = float(norm.isf(ALPHA / comparisons / 2) + norm.ppf(POWER))
    if shift <= asymptotic * math.sqrt(overlap) or not _is_powerful(shift, MAX_PAIRS, comparisons, overlap):
        return None
    low, high = 1, 2
    while not _is_powerful(shift, high, comparisons, overlap):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_powerful(shift, middle, comparisons, overlap) else (middle, high)
    return high


def t_power(shift: float, pairs: int, alpha: float, overlap: float = 0.0) -> float:
    """Return the power of the two-sided t-test on paired differences with variance of the mean s^2 (1/n + overlap).

    Significant results of the wrong sign do not count as detections.

    Args:
        shift: true difference, above zero, in standard deviations of the paired differences.
        pairs: number of pairs, at least two.
        alpha: two-sided level.
        overlap: see `minimum_detectable_difference`.
    """
    from scipy.stats import nct, t

    critical = float(t.isf(alpha / 2, pairs - 1))
    return float(nct.sf(critical, pairs - 1, shift / math.sqrt(1 / pairs + overlap)))


def t_shift(pairs: int, alpha: float, overlap: float = 0.0) -> float:
    """Return the shift (see `t_power`) that the t-test detects with 80 % power."""
    from scipy.optimize import brentq

    high = 1.0
    while t_power(high, pairs, alpha, overlap) < POWER:
        high *= 2
    return float(brentq(lambda shift: t_power(shift, pairs, alpha, overlap) - POWER, 0.0, high, xtol=1e-9))


@cache
def wilcoxon_power(shift: float, pairs: int, alpha: float) -> float:
    """Return the power of the exact signed-rank test, from 8192 simulated samples with a fixed seed.

    Significant results of the wrong sign do not count as detections.

    Args:
        shift: true difference, above zero, in standard deviations of the normal differences.
        pairs: number of differences.
        alpha: two-sided level.
    """
    critical = critical_rank_sum(pairs, alpha)
    if critical is None:
        return 0.0
    values = _standard_normal(pairs) + shift
    ranks = np.abs(values).argsort(axis=1).argsort(axis=1) + 1
    return float(((ranks * (values < 0)).sum(axis=1) <= critical).mean())


@cache
def wilcoxon_shift(pairs: int, alpha: float, power: float) -> float | None:
    """Return the smallest shift that the signed-rank test detects with a power, to a thousandth; None if none."""
    if critical_rank_sum(pairs, alpha) is None:
        return None
    low, high = 0.0, 1.0
    while wilcoxon_power(high, pairs, alpha) < power:
        low, high = high, 2 * high
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if wilcoxon_power(middle, pairs, alpha) >= power else (middle, high)
    return high


def critical_rank_sum(pairs: int, alpha: float) -> int | None:
    """Return the largest significant rank sum of one sign, two-sided and exact; None if none is significant."""
    below = 2 * np.cumsum(_null_distribution(pairs)) < alpha
    return int(below.sum()) - 1 if below.any() else None


def _is_powerful(shift: float, pairs: int, comparisons: int, overlap: float) -> bool:
    """Return whether both tests detect the shift with 80 % power."""
    alpha = ALPHA / comparisons
    if pairs <= MAX_SIMULATED:
        power = wilcoxon_power(shift, pairs, alpha)
    else:
        power = t_power(shift * math.sqrt(EFFICIENCY), pairs, alpha)
    return power >= POWER and t_power(shift, pairs, alpha, overlap) >= POWER


@cache
def _minimum_shift(pairs: int, comparisons: int, overlap: float) -> float | None:
    """Return the shift that both tests detect with 80 % power."""
    alpha = ALPHA / comparisons
    if pairs <= MAX_SIMULATED:
        shift = wilcoxon_shift(pairs, alpha, POWER)
    else:
        shift = t_shift(pairs, alpha) / math.sqrt(EFFICIENCY)
    return None if shift is None else max(shift, t_shift(pairs, alpha, overlap))


@cache
def _standard_normal(pairs: int) -> np.ndarray:
    """Return standard normal numbers, shape (draws, pairs)."""
    return np.random.default_rng(0).standard_normal((_DRAWS, pairs))


def _null_distribution(pairs: int) -> np.ndarray:
    """Return the probabilities of the rank sums 0, 1, ... if both signs are equally likely."""
    probabilities = np.ones(1)
    for rank in range(1, pairs + 1):
        longer = np.zeros(len(probabilities) + rank)
        longer[: len(probabilities)] += probabilities / 2
        longer[rank:] += probabilities / 2
        probabilities = longer
    return probabilities
