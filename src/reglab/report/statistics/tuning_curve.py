"""Tuning curves: the expected best score as a function of the number of trials."""

from collections.abc import Sequence
from math import comb

import numpy as np


def expected_best(
    scores: Sequence[float | None], reported: Sequence[float | None] | None = None, *, minimized: bool
) -> list[float | None]:
    """Return the mean best score over all subsets of k trials, for k = 1 to n.

    Dodge et al. 2019, "Show Your Work: Improved Reporting of Experimental Results", without replacement as in Tang et
    al. 2020, "Showing Your Work Doesn't Always Work": of n trials ranked from the worst, the i-th is the best of
    C(i - 1, k - 1) of the C(n, k) subsets. Subsets in which no trial has a score are left out.

    Args:
        scores: score of each trial; None if it failed, which still counts as a trial.
        reported: averaged in place of the scores, for example the test metric of each trial.
        minimized: whether low scores are good.

    Returns:
        n values; all None if no trial has a score, or if a trial with a score lacks the reported value.

    >>> expected_best([1.0, 2.0, 3.0], minimized=False)
    [2.0, 2.6666666666666665, 3.0]
    """
    values = scores if reported is None else reported
    scored = [(score, value) for score, value in zip(scores, values, strict=True) if score is not None]
    n, failed = len(scores), len(scores) - len(scored)
    averaged = [value for _, value in sorted(scored, key=lambda pair: -pair[0] if minimized else pair[0])]
    if not scored or None in averaged:
        return [None] * n
    return [_mean_of_best(np.array(averaged, dtype=float), failed, k) for k in range(1, n + 1)]


def best_so_far(
    scores: Sequence[float | None], reported: Sequence[float | None] | None = None, *, minimized: bool
) -> list[float | None]:
    """Return the best of the first k trials, for k = 1 to n: for samplers that depend on earlier trials.

    Args:
        scores: score of each trial, in order; None if it failed.
        reported: returned for the best trial in place of its score.
        minimized: whether low scores are good.

    >>> best_so_far([None, 2.0, 1.0, 3.0], minimized=False)
    [None, 2.0, 2.0, 3.0]
    """
    values = scores if reported is None else reported
    curve: list[float | None] = []
    best: float | None = None
    for score, value in zip(scores, values, strict=True):
        better = score is not None and (best is None or (score < best if minimized else score > best))
        curve.append(value if better else curve[-1] if curve else None)
        best = score if better else best
    return curve


def _mean_of_best(ranked: np.ndarray, failed: int, k: int) -> float:
    """Return the mean best of k trials, out of `ranked` (from worst to best) and `failed` trials, which are worse."""
    n = len(ranked) + failed
    weights = np.array([comb(failed + i, k - 1) / comb(n, k) for i in range(len(ranked))])
    return float(weights @ ranked / weights.sum())
