"""What a smaller tuning budget would have found: the expected best of k of the n trials that were made."""

from collections.abc import Sequence
from math import comb

import numpy as np


def expected_best(
    scores: Sequence[float | None], judged: Sequence[float | None] | None = None, *, minimized: bool
) -> list[float | None]:
    """Mean over all subsets of k trials, for k = 1 to n, of the best score in the subset, or of what judges that trial.

    Dodge et al. 2019, "Show Your Work: Improved Reporting of Experimental Results", without replacement as in Tang et
    al. 2020, "Showing Your Work Doesn't Always Work": of n trials ranked from the worst, the i-th is the best of
    C(i - 1, k - 1) of the C(n, k) subsets. Subsets of nothing but trials without a score are left out.

    Args:
        scores: of each trial; None where it failed, which cost its budget all the same.
        judged: what is averaged in place of the scores, for example the test of each trial; where it lacks that of a
            trial with a score, nothing can be said.
        minimized: whether low scores are good.

    Returns:
        n values; all None where no trial has a score.
    """
    values = scores if judged is None else judged
    told = [(score, value) for score, value in zip(scores, values, strict=True) if score is not None]
    n, failed = len(scores), len(scores) - len(told)
    averaged = [value for _, value in sorted(told, key=lambda pair: -pair[0] if minimized else pair[0])]
    if not told or None in averaged:
        return [None] * n
    return [_mean_of_best(np.array(averaged, dtype=float), failed, k) for k in range(1, n + 1)]


def best_so_far(
    scores: Sequence[float | None], judged: Sequence[float | None] | None = None, *, minimized: bool
) -> list[float | None]:
    """The best of the first k trials, for k = 1 to n: where each trial was chosen in the light of those before it.

    Args:
        scores: of each trial in its order; None where it failed.
        judged: what is told of the best trial in place of its score.
        minimized: whether low scores are good.
    """
    values = scores if judged is None else judged
    found: list[float | None] = []
    best: float | None = None
    for score, value in zip(scores, values, strict=True):
        better = score is not None and (best is None or (score < best if minimized else score > best))
        found.append(value if better else found[-1] if found else None)
        best = score if better else best
    return found


def _mean_of_best(ranked: np.ndarray, failed: int, k: int) -> float:
    """Of values from the worst to the best, with `failed` trials worse than all of them."""
    n = len(ranked) + failed
    weights = np.array([comb(failed + i, k - 1) / comb(n, k) for i in range(len(ranked))])
    return float(weights @ ranked / weights.sum())
