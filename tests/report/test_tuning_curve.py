"""Expected best score of fewer trials, against the mean over all subsets."""

from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import fmean

import pytest

from reglab.report.statistics.tuning_curve import best_so_far, expected_best

SCORES = [0.61, 0.75, 0.55, 0.75, 0.81, 0.40, 0.68]
TESTS = [0.60, 0.71, 0.57, 0.71, 0.70, 0.45, 0.72]


def brute(scores: Sequence[float | None], judged: Sequence[float | None], best: Callable[..., int]) -> list[float]:
    """Return the mean over all subsets with a score."""
    best_of_subsets = []
    for k in range(1, len(scores) + 1):
        series = []
        for subset in combinations(range(len(scores)), k):
            scored = [i for i in subset if scores[i] is not None]
            if scored:
                series.append(judged[best(scored, key=lambda i: scores[i])])
        best_of_subsets.append(fmean(value for value in series if value is not None))
    return best_of_subsets


@pytest.mark.parametrize("minimized", [False, True])
@pytest.mark.parametrize("failed", [[], [2], [0, 4, 6]])
def test_equals_the_mean_over_all_subsets(failed: list[int], minimized: bool) -> None:
    scores = [None if i in failed else score for i, score in enumerate(SCORES)]
    tests = [None if i in failed else score for i, score in enumerate(TESTS)]
    choose: Callable[..., int] = min if minimized else max
    assert expected_best(scores, minimized=minimized) == pytest.approx(brute(scores, scores, choose), abs=1e-12)
    assert expected_best(scores, tests, minimized=minimized) == pytest.approx(brute(scores, tests, choose), abs=1e-12)


def test_by_hand() -> None:
    # pairs of 1, 2, 4: the best are 2, 4, 4
    assert expected_best([1.0, 2.0, 4.0], minimized=False) == pytest.approx([7 / 3, 10 / 3, 4])
    assert expected_best([1.0, 2.0, 4.0], minimized=True) == pytest.approx([7 / 3, 4 / 3, 1])
    assert expected_best([None, 2.0], minimized=False) == [2.0, 2.0]
    assert expected_best([None, None], minimized=False) == [None, None]
    assert expected_best([1.0, 2.0], [None, 3.0], minimized=False) == [None, None]


def test_many_trials_stay_exact() -> None:
    n = 400
    curve = expected_best([float(i) for i in range(1, n + 1)], minimized=False)
    for k in (1, 7, 200, n):  # mean maximum of k numbers from 1 to n
        assert curve[k - 1] == pytest.approx(k * (n + 1) / (k + 1))


def test_the_best_so_far_keeps_the_order_of_trials() -> None:
    assert best_so_far([None, 0.5, 0.4, 0.7, None], minimized=False) == [None, 0.5, 0.5, 0.7, 0.7]
    assert best_so_far([0.5, 0.4, 0.7], [5.0, 4.0, 7.0], minimized=True) == [5.0, 4.0, 4.0]
    assert best_so_far([0.5, 0.5], [1.0, 2.0], minimized=False) == [1.0, 1.0]  # the first of equal scores, as in tuning
