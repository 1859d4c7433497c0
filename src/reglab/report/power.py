"""What a paired comparison could have found, and how many seeds a given difference would need.

A claim needs Wilcoxon's test and, where splits overlap, the corrected resampled t-test, both after Holm's correction.
Bonferroni's level, alpha over the number of comparisons, stands for Holm's first step; differences are taken as normal.
"""

import math
from functools import cache

from reglab.report import signed_rank
from reglab.report.statistics import ALPHA

POWER = 0.8
MOST = 10_000  # pairs, above which a number says no more than "out of reach"


def t_power(shift: float, pairs: int, alpha: float, overlap: float = 0.0) -> float:
    """Power of the two-sided t-test on paired differences, whose mean has variance s^2 (1/n + overlap): noncentral t.

    To be significant on the wrong side is no success; for a shift worth speaking of it hardly ever happens.

    Args:
        shift: the true difference, above zero, in standard deviations of the paired differences.
        overlap: tested rows over other rows (Nadeau and Bengio 2003); 0 is the plain t-test.
    """
    from scipy.stats import nct, t

    critical = float(t.isf(alpha / 2, pairs - 1))
    return float(nct.sf(critical, pairs - 1, shift / math.sqrt(1 / pairs + overlap)))


def smallest_difference(spread: float, pairs: int, comparisons: int, overlap: float = 0.0) -> float | None:
    """The smallest true difference that is found with 80 % power; None where not even the largest is.

    Args:
        spread: standard deviation of the paired differences, in the metric's units.
        comparisons: how many rows Holm corrects for.
    """
    shift = _smallest_shift(pairs, comparisons, overlap)
    return None if shift is None else spread * shift


def pairs_needed(difference: float, spread: float, comparisons: int, overlap: float = 0.0) -> int | None:
    """The fewest pairs that find the difference with 80 % power; None above 10,000 or where overlap forbids it.

    With overlap the variance of a mean never falls below overlap * spread^2, however many pairs there are.
    """
    from scipy.stats import norm

    if difference == 0:
        return None
    shift = abs(difference) / spread
    reachable = float(norm.isf(ALPHA / comparisons / 2) + norm.ppf(POWER))
    if shift <= reachable * math.sqrt(overlap) or not _found(shift, MOST, comparisons, overlap):
        return None
    low, high = 1, 2
    while not _found(shift, high, comparisons, overlap):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _found(shift, middle, comparisons, overlap) else (middle, high)
    return high


def _found(shift: float, pairs: int, comparisons: int, overlap: float) -> bool:
    alpha = ALPHA / comparisons
    if pairs <= signed_rank.SIMULATED:
        sees = signed_rank.power(shift, pairs, alpha)
    else:
        sees = t_power(shift * math.sqrt(signed_rank.EFFICIENCY), pairs, alpha)
    return sees >= POWER and t_power(shift, pairs, alpha, overlap) >= POWER


@cache
def _smallest_shift(pairs: int, comparisons: int, overlap: float) -> float | None:
    """What both tests see, in standard deviations of the paired differences."""
    alpha = ALPHA / comparisons
    if pairs <= signed_rank.SIMULATED:
        ranked = signed_rank.smallest_shift(pairs, alpha, POWER)
    else:
        ranked = t_shift(pairs, alpha) / math.sqrt(signed_rank.EFFICIENCY)
    return None if ranked is None else max(ranked, t_shift(pairs, alpha, overlap))


def t_shift(pairs: int, alpha: float, overlap: float = 0.0) -> float:
    """The shift (see `t_power`) that the t-test of two pairs or more finds with 80 % power."""
    from scipy.optimize import brentq

    high = 1.0
    while t_power(high, pairs, alpha, overlap) < POWER:
        high *= 2
    return float(brentq(lambda shift: t_power(shift, pairs, alpha, overlap) - POWER, 0.0, high, xtol=1e-9))
