"""Intervals, tests and corrections against values computed by hand, SciPy and statsmodels."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from reglab.report.statistics.paired import (
    bootstrap_interval,
    float32_errors,
    holm,
    is_significant,
    merge_ties,
    paired_difference,
    rank_values,
    smallest_p,
    too_few_pairs,
    wilcoxon,
)


def test_plain_t_interval_by_hand() -> None:
    d = paired_difference([0.1, 0.2, 0.3, 0.4])
    # s^2 = 1/60, s / sqrt(4) = .0645497, t(.975, 3) = 3.182446
    assert d.mean == pytest.approx(0.25)
    assert d.interval == pytest.approx((0.25 - 0.205426, 0.25 + 0.205426), abs=1e-6)
    scipy_interval = stats.ttest_1samp([0.1, 0.2, 0.3, 0.4], 0).confidence_interval()
    assert d.interval == pytest.approx((scipy_interval.low, scipy_interval.high))
    assert d.p_t == pytest.approx(stats.ttest_1samp([0.1, 0.2, 0.3, 0.4], 0).pvalue)
    assert (paired_difference([0.5, 0.5]).p_t, paired_difference([0.0, 0.0]).p_t, paired_difference([0.5]).p_t) == (
        0,
        1,
        1,
    )


def test_nadeau_bengio_interval_by_hand() -> None:
    d = paired_difference([0.1, 0.2, 0.3, 0.4], overlap=200 / 800)
    # variance of the mean: 1/60 * (1/4 + 1/4) = 1/120; 3.182446 * sqrt(1/120) = .290516
    assert d.interval == pytest.approx((0.25 - 0.290516, 0.25 + 0.290516), abs=1e-6)
    assert d.p_t == pytest.approx(2 * stats.t.sf(0.25 / math.sqrt(1 / 120), 3))


def test_one_pair_has_a_mean_and_no_interval() -> None:
    d = paired_difference([0.5])
    assert (d.mean, d.interval, d.p) == (0.5, None, 1.0)


def test_bootstrap_interval_of_the_mean() -> None:
    values = [0.70, 0.74, 0.71, 0.77, 0.73, 0.72]
    low, high = bootstrap_interval(values) or (0, 0)
    assert 0.70 < low < np.mean(values) < high < 0.77
    assert bootstrap_interval(values) == (low, high)  # the resamples are reproducible
    by_percentiles = np.percentile(np.random.default_rng(1).choice(values, (200_000, 6)).mean(axis=1), [2.5, 97.5])
    assert (low, high) == pytest.approx(by_percentiles, abs=0.004)
    assert bootstrap_interval([0.1, 0.2]) is None
    assert bootstrap_interval([0.3, 0.3, 0.3]) == (0.3, 0.3)


@pytest.mark.slow
def test_holm_is_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 30):
        p = list(rng.uniform(size=size) ** 3)
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.02]) == pytest.approx([0.5, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("n", [1, 3, 5, 8, 10])
def test_wilcoxon_reaches_the_smallest_p(n: int) -> None:
    p, method = wilcoxon(np.arange(1.0, n + 1))
    assert p == pytest.approx(smallest_p(n)) == pytest.approx(2 / 2**n)
    assert method == "exact"


def test_wilcoxon_by_hand() -> None:
    # ranks 1 2 3, only the first negative: W- = 1; sign patterns with W- <= 1: {}, {1}; 2 * 2/8
    assert wilcoxon([-0.1, 0.2, 0.3]) == (0.5, "exact")


def test_wilcoxon_with_ties_and_zeros_counts_all_sign_patterns() -> None:
    values = [0.1, 0.1, -0.1, 0.3, 0.0, 0.2, 0.2]
    nonzero = np.array([0.1, 0.1, -0.1, 0.3, 0.2, 0.2])
    ranked = stats.rankdata(np.abs(nonzero))
    observed = ranked[nonzero > 0].sum()
    sums = [sum(r for r, up in zip(ranked, signs, strict=True) if up) for signs in itertools.product([0, 1], repeat=6)]
    by_hand = 2 * np.mean(np.array(sums) >= observed)
    p, method = wilcoxon(values)
    assert p == pytest.approx(by_hand)
    assert method == "exact"
    assert p == pytest.approx(stats.wilcoxon(values).pvalue)


def test_wilcoxon_is_scipys_on_random_differences() -> None:
    rng = np.random.default_rng(3)
    for n in (6, 14, 30, 60):
        values = rng.normal(0.3, 1, n)
        assert wilcoxon(values)[0] == pytest.approx(stats.wilcoxon(values).pvalue)
        rounded = np.round(values, 1)
        if n > 13:
            assert wilcoxon(rounded) == (pytest.approx(stats.wilcoxon(rounded).pvalue), "normal approximation")
    assert wilcoxon(rng.normal(size=51))[1] == "normal approximation"


def test_rounding_errors_change_no_ties_and_no_signs() -> None:
    assert 0.3 - 0.2 != 0.2 - 0.1
    assert wilcoxon([0.3 - 0.2, 0.2 - 0.1, 0.1])[0] == wilcoxon([0.1, 0.1, 0.1])[0]
    assert wilcoxon([0.0, 0.0]) == (1.0, "all differences are zero")


def test_accuracies_tracked_as_float32_keep_their_ties() -> None:
    rng = np.random.default_rng(0)
    for rows in (128, 360, 1000, 10_000):
        for _ in range(50):
            base = rng.integers(int(0.78 * rows), int(0.8 * rows), 10)
            compared = base + rng.integers(-1, 5, 10)
            exact = wilcoxon((compared - base).astype(float))
            a, b = (np.float32(correct) / np.float32(rows) for correct in (compared, base))
            difference = paired_difference(
                a.astype(float) - b.astype(float), errors=float32_errors(a) + float32_errors(b)
            )
            assert (difference.p, difference.method) == (pytest.approx(exact[0], abs=1e-12), exact[1])
            assert difference.mean == pytest.approx((compared - base).mean() / rows, abs=1e-7)
    assert rank_values([float(np.float32(0.8)), 0.8, 0.9], highest_first=True) == [2.5, 2.5, 1]


def test_differences_above_float32_rounding_are_no_ties() -> None:
    error, step = 2.0**-24, 3 * 2.0**-24
    assert len(set(merge_ties([0.1, 0.1 + step, 0.1 + 2 * step], np.full(3, error)).tolist())) == 3
    assert merge_ties([step, -step], np.full(2, error)).tolist() == [step, -step]
    assert merge_ties([0.1, 0.1 + error, -error], np.full(3, error)).tolist() == [0.1 + error / 2, 0.1 + error / 2, 0.0]
    assert merge_ties([]).tolist() == []
    assert rank_values([], highest_first=True) == []


def test_one_huge_value_causes_no_ties() -> None:
    assert rank_values([0.3, 0.6, 1e7], highest_first=False) == [1, 2, 3]
    assert rank_values([-0.3, 0.3, 1e30], highest_first=False) == [1, 2, 3]
    compared, base = np.array([*[0.9] * 8, 0.901, 5e6]), np.array([*[0.7] * 9, 0.7])
    difference = paired_difference(compared - base, errors=float32_errors(compared) + float32_errors(base))
    ranked = [*[4.5] * 8, 9, 10]  # all of one sign
    assert difference.p == wilcoxon(ranked)[0] < 0.01


def test_a_verdict_needs_all_tests() -> None:
    assert is_significant(0.04, (0.1, 0.2), None)
    assert is_significant(0.04, (-0.2, -0.1), 0.049)
    assert not is_significant(0.05, (0.1, 0.2), None)
    assert not is_significant(0.04, (-0.1, 0.2), None)
    assert not is_significant(0.04, None, None)
    assert not is_significant(0.04, (0.1, 0.2), 0.05)


def test_too_few_seeds() -> None:
    assert too_few_pairs(5, 5)  # .0625 * 5 = .31
    assert not too_few_pairs(8, 5)  # .0078 * 5 = .039
    assert too_few_pairs(5, 1)
    assert not too_few_pairs(6, 1)


def test_ranks_share_equal_places() -> None:
    assert rank_values([0.8, 0.9, 0.8], highest_first=True) == [2.5, 1, 2.5]
    assert rank_values([0.8, 0.9, 0.7], highest_first=False) == [2, 3, 1]
