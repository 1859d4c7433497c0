"""Power and detectable differences against statsmodels, SciPy and values computed by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from reglab.report.statistics.power import (
    EFFICIENCY,
    MAX_PAIRS,
    MAX_SIMULATED,
    critical_rank_sum,
    minimum_detectable_difference,
    pairs_needed,
    t_power,
    t_shift,
    wilcoxon_power,
    wilcoxon_shift,
)


@pytest.mark.parametrize("pairs", [2, 5, 10, 46])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 6])
def test_power_of_the_t_test_is_statsmodels(pairs: int, alpha: float) -> None:
    for shift in (0.1, 0.5, 1.3):
        reference = TTestPower().power(shift, pairs, alpha / 2, alternative="larger")
        assert t_power(shift, pairs, alpha) == pytest.approx(reference, rel=1e-6)
    reference = TTestPower().power(t_shift(pairs, alpha), pairs, alpha / 2, alternative="larger")
    assert reference == pytest.approx(0.8, rel=1e-6)


@pytest.mark.parametrize("pairs", [5, 10, 46])
def test_the_wrong_side_does_not_change_the_smallest_difference(pairs: int) -> None:
    reference = TTestPower().solve_power(nobs=pairs, alpha=0.05, power=0.8, alternative="two-sided")
    assert t_shift(pairs, 0.05) == pytest.approx(np.ravel(reference)[0], rel=1e-4)


def test_overlap_reduces_pairs_in_the_variance_only() -> None:
    # 1/10 + .15 = 1/4: the noncentrality of 4 pairs at the 9 degrees of freedom of 10
    critical = stats.t.isf(0.025, 9)
    by_hand = stats.nct.sf(critical, 9, 1.2 / 0.5)
    assert t_power(1.2, 10, 0.05, overlap=0.15) == pytest.approx(by_hand)
    assert t_shift(10, 0.05, overlap=0.15) == pytest.approx(t_shift(10, 0.05) * math.sqrt(0.25 / 0.1))


def test_rank_sums_that_are_significant_are_those_of_the_tables() -> None:
    # Wilcoxon's table, two-sided: .05 needs at least 6 pairs
    sums = {pairs: critical_rank_sum(pairs, 0.05) for pairs in range(5, 13)}
    assert sums == {5: None, 6: 0, 7: 2, 8: 3, 9: 5, 10: 8, 11: 10, 12: 13}
    assert critical_rank_sum(10, 0.01) == 3


def test_power_of_the_signed_rank_test_by_hand() -> None:
    # Six pairs are significant only if all are above zero, seven up to a rank sum of 2: none, {1} or {2} below.
    assert wilcoxon_power(1.2, 6, 0.05) == pytest.approx(stats.norm.cdf(1.2) ** 6, abs=0.015)
    assert wilcoxon_power(1.2, 5, 0.05) == 0
    assert wilcoxon_shift(5, 0.05, 0.8) is None
    all_above = stats.norm.ppf(0.8 ** (1 / 6))
    assert wilcoxon_shift(6, 0.05, 0.8) == pytest.approx(all_above, abs=0.03)


def test_power_of_the_signed_rank_test_is_that_of_scipys() -> None:
    values = np.random.default_rng(5).normal(0.8, 1, (4000, 12))
    significant = (stats.wilcoxon(values, axis=1, method="exact").pvalue < 0.01) & (values.mean(axis=1) > 0)
    assert wilcoxon_power(0.8, 12, 0.01) == pytest.approx(significant.mean(), abs=0.025)


def test_the_formula_for_many_pairs_agrees_with_the_simulation_for_few() -> None:
    for alpha in (0.05, 0.05 / 6):
        simulated = wilcoxon_shift(MAX_SIMULATED, alpha, 0.8)
        formula = t_shift(MAX_SIMULATED, alpha) / math.sqrt(EFFICIENCY)
        assert simulated == pytest.approx(formula, rel=0.03)


def test_factors_of_the_smallest_difference() -> None:
    smallest = minimum_detectable_difference(0.01, 10, 1)
    assert smallest is not None
    assert smallest == pytest.approx(minimum_detectable_difference(1.0, 10, 1) / 100)  # type: ignore[operator]
    assert smallest >= 0.01 * t_shift(10, 0.05)  # Wilcoxon's test is never more powerful than the t-test
    orders = [
        minimum_detectable_difference(0.01, n, 6, o) or 0.0 for n, o in ((60, 0.0), (20, 0.0), (20, 0.25), (10, 0.25))
    ]
    assert all(a < b for a, b in itertools.pairwise(orders))
    assert minimum_detectable_difference(0.01, 10, 6) > smallest  # type: ignore[operator]


def test_without_a_significant_outcome_no_difference_is_detectable() -> None:
    assert minimum_detectable_difference(0.01, 5, 1) is None  # .0625 at best
    assert minimum_detectable_difference(0.01, 8, 7) is None  # .0078 * 7 = .055
    assert minimum_detectable_difference(0.01, 8, 6) is not None
    assert minimum_detectable_difference(0.01, 1, 1) is None


@pytest.mark.parametrize("overlap", [0.0, 0.01])
@pytest.mark.parametrize("comparisons", [1, 6])
def test_seeds_needed_are_the_fewest(comparisons: int, overlap: float) -> None:
    for difference in (0.004, 0.006, 0.02):
        needed = pairs_needed(difference, 0.01, comparisons, overlap)
        assert needed is not None
        assert (minimum_detectable_difference(0.01, needed, comparisons, overlap) or math.inf) <= difference + 1e-5
        assert (minimum_detectable_difference(0.01, needed - 1, comparisons, overlap) or math.inf) > difference
        assert pairs_needed(-difference, 0.01, comparisons, overlap) == needed


def test_seeds_needed_are_statsmodels_where_there_are_many() -> None:
    reference = TTestPower().solve_power(effect_size=0.3 * math.sqrt(3 / math.pi), alpha=0.05, power=0.8)
    assert pairs_needed(0.3, 1.0, 1) == math.ceil(np.ravel(reference)[0])


def test_overlap_makes_small_differences_undetectable() -> None:
    # sqrt(.25) * (z(.975) + z(.8)) = 1.4008 standard deviations
    assert pairs_needed(1.40, 1.0, 1, overlap=0.25) is None
    assert pairs_needed(1.42, 1.0, 1, overlap=0.25) is not None
    assert pairs_needed(0.0, 1.0, 1) is None
    assert pairs_needed(0.01, 1.0, 1) is None  # 78,000 > 10,000
    assert MAX_PAIRS == 10_000
