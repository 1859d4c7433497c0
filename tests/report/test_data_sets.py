"""Friedman, Iman-Davenport and all pairs: against Demsar's example, scipy, statsmodels and scikit-posthocs."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reglab.report.statistics.data_sets import DataSetComparison, Pair, compare_over_data_sets, iman_davenport
from reglab.report.statistics.paired import Difference

# Table 6 of Demsar (2006): areas under the curve of C4.5 and three ways to tune it. On the voting data the values
# .975 and .975 have ranks 2 and 3, from digits that are not printed.
NAMES = ["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"]
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def test_demsars_ranks() -> None:
    comparison = compare_over_data_sets(NAMES, DEMSAR, higher=True)
    assert dict(zip(comparison.strategies, comparison.ranks, strict=True)) == pytest.approx(
        {"C4.5+m+cf": 1.964, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5": 3.143}, abs=5e-4
    )
    assert comparison.strategies == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert comparison.data_sets == 14


def test_demsars_f() -> None:
    # 13 * 9.28 / (14 * 3 - 9.28) = 3.69, above the critical value 2.85 of F(3, 39)
    f, p = iman_davenport(9.28, 14, 4)
    assert f == pytest.approx(3.69, abs=0.005)
    assert p == pytest.approx(stats.f.sf(3.69, 3, 39), abs=1e-4)
    assert iman_davenport(stats.f.ppf(0.95, 3, 39) * 42 / (13 + stats.f.ppf(0.95, 3, 39)), 14, 4)[1] == (
        pytest.approx(0.05)
    )


def test_friedman_equals_scipys_with_ties() -> None:
    rng = np.random.default_rng(0)
    for values in (DEMSAR, rng.normal(size=(5, 3)), np.round(rng.normal(size=(9, 6)))):
        comparison = compare_over_data_sets([f"s{i}" for i in range(values.shape[1])], values, higher=True)
        reference = stats.friedmanchisquare(*values.T)
        assert (comparison.chi2, comparison.chi2_p) == pytest.approx((reference.statistic, reference.pvalue))


@pytest.mark.slow
def test_f_equals_an_analysis_of_variance_of_the_ranks() -> None:
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    values = np.round(np.random.default_rng(1).normal(size=(8, 4)) + np.array([0, 0.5, 1, 1.5]))
    comparison = compare_over_data_sets(list("abcd"), values, higher=False)
    ranks = stats.rankdata(values, axis=1)
    frame = pd.DataFrame([(i, j, ranks[i, j]) for i in range(8) for j in range(4)], columns=["data", "s", "rank"])
    table = anova_lm(ols("rank ~ C(data) + C(s)", frame).fit())
    assert (comparison.f, comparison.f_p) == pytest.approx((table.loc["C(s)", "F"], table.loc["C(s)", "PR(>F)"]))


def test_equal_rankings_and_no_differences() -> None:
    same = compare_over_data_sets(list("abc"), np.arange(15.0).reshape(5, 3), higher=True)
    assert (same.strategies, same.ranks) == (["c", "b", "a"], [1, 2, 3])
    assert (same.chi2, same.f, same.f_p) == (pytest.approx(10), math.inf, 0)  # N (k - 1), the maximum
    level = compare_over_data_sets(list("abc"), np.ones((5, 3)), higher=True)
    assert (level.ranks, level.chi2, level.chi2_p, level.f, level.f_p) == ([2, 2, 2], 0, 1, 0, 1)
    assert level.cliques == [["a", "b", "c"]]
    assert compare_over_data_sets(list("abc"), np.arange(15.0).reshape(5, 3), higher=False).strategies == [
        "a",
        "b",
        "c",
    ]


@pytest.mark.slow
def test_pairs_equal_scikit_posthocs() -> None:
    from scikit_posthocs import posthoc_wilcoxon

    values = np.random.default_rng(2).normal(size=(12, 5)) + np.array([0, 0.2, 0.8, 1.5, 3])
    comparison = compare_over_data_sets(list("abcde"), values, higher=True)
    frame = pd.DataFrame(values, columns=list("abcde")).melt()
    reference = posthoc_wilcoxon(frame, val_col="value", group_col="variable", p_adjust="holm")
    assert len(comparison.pairs) == 10
    for pair in comparison.pairs:
        assert pair.p_holm == pytest.approx(reference.loc[pair.first, pair.second])
        assert pair.difference.mean == pytest.approx(
            (values[:, "abcde".index(pair.first)] - values[:, "abcde".index(pair.second)]).mean()
        )
    assert {pair.differs for pair in comparison.pairs} == {True, False}


@pytest.mark.slow
def test_pairs_equal_scipys_with_holm_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    values = np.random.default_rng(3).normal(size=(20, 4)) + np.array([0, 0.5, 1, 1.5])
    comparison = compare_over_data_sets(list("abcd"), values, higher=True)
    plain = [
        stats.wilcoxon(values[:, "abcd".index(p.first)], values[:, "abcd".index(p.second)]).pvalue
        for p in comparison.pairs
    ]
    assert [p.difference.p for p in comparison.pairs] == pytest.approx(plain)
    assert [p.p_holm for p in comparison.pairs] == pytest.approx(multipletests(plain, method="holm")[1])


def with_pairs(strategies: str, *apart: str) -> DataSetComparison:
    same = Difference(9, 0.0, 0.1, None, 1.0, "exact")
    pairs = [
        Pair(a, b, same, 0.01 if a + b in apart else 1.0) for i, a in enumerate(strategies) for b in strategies[i + 1 :]
    ]
    return DataSetComparison(list(strategies), list(range(len(strategies))), 9, 0, 1, 0, 1, pairs)


def test_groups_are_the_largest_without_a_significant_pair() -> None:
    assert with_pairs("abc").cliques == [["a", "b", "c"]]
    assert with_pairs("abc", "ac").cliques == [["a", "b"], ["b", "c"]]
    assert with_pairs("abc", "ab", "ac", "bc").cliques == []
    assert with_pairs("abcd", "ad", "bd", "cd").cliques == [["a", "b", "c"]]
    # b ranks between a and c and differs from both; one bar joins a and c
    assert with_pairs("abc", "ab", "bc").cliques == [["a", "c"]]


def test_groups_equal_networkx_cliques() -> None:
    import networkx

    rng = np.random.default_rng(4)
    for _ in range(30):
        names = "abcdefg"
        apart = [a + b for i, a in enumerate(names) for b in names[i + 1 :] if rng.random() < 0.4]
        graph = networkx.Graph([(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if a + b not in apart])
        cliques = {frozenset(clique) for clique in networkx.find_cliques(graph) if len(clique) > 1}
        groups = with_pairs(names, *apart).cliques
        assert {frozenset(group) for group in groups} == cliques
        assert len(groups) == len(cliques)
        assert all(group == sorted(group) for group in groups)


@pytest.mark.slow
def test_bars_equal_the_diagram_of_scikit_posthocs() -> None:
    import matplotlib.pyplot as plt
    from scikit_posthocs import critical_difference_diagram, posthoc_wilcoxon

    names = list("abcde")
    values = np.random.default_rng(2).normal(size=(12, 5)) + np.array([0, 0.2, 0.8, 1.5, 3])
    comparison = compare_over_data_sets(names, values, higher=True)
    p = posthoc_wilcoxon(
        pd.DataFrame(values, columns=names).melt(), val_col="value", group_col="variable", p_adjust="holm"
    )
    _, axes = plt.subplots()
    drawn = critical_difference_diagram(dict(zip(comparison.strategies, comparison.ranks, strict=True)), p, ax=axes)
    plt.close()
    ranks = dict(zip(comparison.strategies, comparison.ranks, strict=True))
    bars = {tuple(sorted(map(float, line.get_xdata()))) for bar in drawn["crossbars"] for line in np.ravel(bar)}
    ends = {(ranks[clique[0]], ranks[clique[-1]]) for clique in comparison.cliques}
    assert len(bars) == len(ends)
    for bar, end in zip(sorted(bars), sorted(ends), strict=True):
        assert (bar[0], bar[-1]) == pytest.approx(end)


def test_scikit_posthocs_ignores_ties_of_float32_metrics() -> None:
    """Accuracies are tracked as float32, so equal differences of counts are not equal numbers."""
    from scikit_posthocs import posthoc_wilcoxon

    rng = np.random.default_rng(0)
    correct = rng.integers(780, 800, (14, 1)) + rng.integers(-2, 4, (14, 3))  # correct rows of 1000
    values = (correct.astype(np.float32) / np.float32(1000)).astype(float)
    comparison = compare_over_data_sets(list("abc"), values, higher=True)
    exact = compare_over_data_sets(list("abc"), correct.astype(float), higher=True)
    p = {(pair.first, pair.second): pair.difference.p for pair in comparison.pairs}
    assert p == pytest.approx({(pair.first, pair.second): pair.difference.p for pair in exact.pairs})
    frame = pd.DataFrame(values, columns=list("abc")).melt()
    reference = posthoc_wilcoxon(frame, val_col="value", group_col="variable")
    assert any(abs(reference.loc[first, second] - value) > 0.1 for (first, second), value in p.items())
