"""How often Wilcoxon's signed-rank test sees a difference of a given size, among so few pairs that formulas mislead."""

from functools import cache

import numpy as np

SIMULATED = 30  # pairs; with more, the test needs 1 / sqrt(EFFICIENCY) of what the t-test needs
EFFICIENCY = 3 / np.pi  # of the test against the t-test, normal differences (Pitman; Lehmann 2006, Nonparametrics)
_DRAWS = 8192


def critical_sum(pairs: int, alpha: float) -> int | None:
    """The largest sum of the ranks of one sign that is significant, two-sided and exact; None where none is."""
    below = 2 * np.cumsum(_null(pairs)) < alpha
    return int(below.sum()) - 1 if below.any() else None


@cache
def power(shift: float, pairs: int, alpha: float) -> float:
    """Probability that the exact test is significant at `alpha` and its sign right, in 8192 draws, always the same.

    Args:
        shift: mean of the normal differences, above zero, in units of their standard deviation.
        pairs: how many differences.
    """
    critical = critical_sum(pairs, alpha)
    if critical is None:
        return 0.0
    values = _draws(pairs) + shift
    ranks = np.abs(values).argsort(axis=1).argsort(axis=1) + 1
    return float(((ranks * (values < 0)).sum(axis=1) <= critical).mean())


@cache
def smallest_shift(pairs: int, alpha: float, wanted: float) -> float | None:
    """The shift that is seen with the power wanted, to a thousandth; None where none is, however large."""
    if critical_sum(pairs, alpha) is None:
        return None
    low, high = 0.0, 1.0
    while power(high, pairs, alpha) < wanted:
        low, high = high, 2 * high
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, pairs, alpha) >= wanted else (middle, high)
    return high


@cache
def _draws(pairs: int) -> np.ndarray:
    """(draws, pairs) standard normal numbers."""
    return np.random.default_rng(0).standard_normal((_DRAWS, pairs))


def _null(pairs: int) -> np.ndarray:
    """Probability of each rank sum 0, 1, ... where signs are a coin's."""
    chances = np.ones(1)
    for rank in range(1, pairs + 1):
        longer = np.zeros(len(chances) + rank)
        longer[: len(chances)] += chances / 2
        longer[rank:] += chances / 2
        chances = longer
    return chances
