"""Comparison of all strategies over data sets: Friedman's test, then Wilcoxon's test of each pair with Holm.

Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7 (2006). Pairs are compared by Wilcoxon's
test in place of mean ranks (Benavoli, Corani and Mangili, JMLR 17, 2016), whose result for two strategies depends on
the others.

scikit-posthocs computes the same tests of pairs and draws the diagram. It is used in tests only: it depends on
seaborn and pandas, adds 1.4 s to the import of scipy.stats, and does not merge ties hidden by float32 rounding (see
`paired.merge_ties`), so that its p for tracked accuracies can differ by more than 0.1.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reglab.report.number_format import format_p
from reglab.report.statistics import paired
from reglab.report.statistics.paired import Difference

MIN_STRATEGIES, MIN_DATA_SETS = 3, 5


@dataclass(frozen=True)
class Pair:
    """Two strategies over data sets: `difference` is first minus second, `p_holm` is adjusted for all pairs."""

    first: str
    second: str
    difference: Difference
    p_holm: float

    @property
    def differs(self) -> bool:
        """Whether the adjusted test is significant."""
        return self.p_holm < paired.ALPHA


@dataclass(frozen=True)
class DataSetComparison:
    """Tests of all strategies over data sets.

    Attributes:
        strategies: strategies from the best mean rank to the worst.
        ranks: mean rank of each.
        data_sets: number of data sets.
        chi2, chi2_p: Friedman's statistic and its p.
        f, f_p: Iman and Davenport's statistic and its p.
        pairs: all pairs of strategies.
    """

    strategies: list[str]
    ranks: list[float]
    data_sets: int
    chi2: float
    chi2_p: float
    f: float
    f_p: float
    pairs: list[Pair]

    @property
    def test_result(self) -> str:
        """The result of Friedman's test, as a sentence."""
        denominator_df = (len(self.strategies) - 1) * (self.data_sets - 1)
        verb = "differ" if self.f_p < paired.ALPHA else "are not shown to differ"
        return (
            f"The {len(self.strategies)} strategies {verb} over {self.data_sets} data sets: Friedman’s χ² = "
            f"{self.chi2:.2f}, p {format_p(self.chi2_p, relation=True)}; Iman and Davenport’s "
            f"F({len(self.strategies) - 1}, {denominator_df}) = {'∞' if math.isinf(self.f) else f'{self.f:.2f}'}, "
            f"p {format_p(self.f_p, relation=True)}."
        )

    @property
    def too_few(self) -> bool:
        """Whether no pair can be significant, whatever the ranks are."""
        return paired.too_few_pairs(self.data_sets, len(self.pairs))

    @property
    def cliques(self) -> list[list[str]]:
        """The largest groups of two or more strategies without a significant pair, each from best to worst."""
        tied = {frozenset((pair.first, pair.second)) for pair in self.pairs if not pair.differs}
        groups: list[list[str]] = []
        for name in self.strategies:
            extended = [[*(other for other in group if frozenset((other, name)) in tied), name] for group in groups]
            groups = _maximal([*groups, *extended, [name]])
        return [group for group in groups if len(group) > 1]


def compare_over_data_sets(strategies: Sequence[str], values: np.ndarray, *, higher: bool) -> DataSetComparison:
    """Return mean ranks, Friedman's test with Iman and Davenport's correction, and the tests of all pairs.

    Args:
        strategies: three or more names.
        values: shape (data sets, strategies), the metric; no value is missing.
        higher: whether higher values are better.
    """
    from scipy.stats import friedmanchisquare

    ranks = np.array([paired.rank_values(row.tolist(), highest_first=higher) for row in values])
    data_sets, count = values.shape
    # If all are equal on every data set, the statistic is 0 / 0.
    constant = bool((ranks == ranks[:, :1]).all())
    chi2, chi2_p = (0.0, 1.0) if constant else map(float, friedmanchisquare(*ranks.T))
    f, f_p = iman_davenport(chi2, data_sets, count)
    order = sorted(range(count), key=lambda i: (ranks[:, i].mean(), strategies[i]))
    names, ordered = [strategies[i] for i in order], values[:, order]
    errors = paired.float32_errors(ordered)
    pairs = []
    for i, j in itertools.combinations(range(count), 2):
        difference = paired.paired_difference(ordered[:, i] - ordered[:, j], errors=errors[:, i] + errors[:, j])
        pairs.append(Pair(names[i], names[j], difference, 1.0))
    adjusted = paired.holm([pair.difference.p for pair in pairs])
    pairs = [replace(pair, p_holm=p) for pair, p in zip(pairs, adjusted, strict=True)]
    return DataSetComparison(names, ranks.mean(axis=0)[order].tolist(), data_sets, chi2, chi2_p, f, f_p, pairs)


def reason_not_compared(strategies: int, data_sets: int) -> str | None:
    """Return a sentence if there are too few strategies or data sets for `compare_over_data_sets`, else None."""
    if strategies >= MIN_STRATEGIES and data_sets >= MIN_DATA_SETS:
        return None
    return (
        f"A test of all strategies and a critical-difference diagram need at least {MIN_STRATEGIES} strategies and "
        f"{MIN_DATA_SETS} data sets; {strategies} and {data_sets} were compared."
    )


def iman_davenport(chi2: float, data_sets: int, strategies: int) -> tuple[float, float]:
    """Return F and its p from Friedman's statistic, which alone is too conservative (Iman and Davenport 1980).

    F = (N - 1) chi2 / (N (k - 1) - chi2) with k - 1 and (k - 1)(N - 1) degrees of freedom, for N data sets and k
    strategies; infinite if all data sets give the same order. It is the F of an analysis of variance of the ranks,
    also with ties.
    """
    from scipy.stats import f as distribution

    denominator = data_sets * (strategies - 1) - chi2
    if denominator <= 1e-9 * chi2:
        return math.inf, 0.0
    value = (data_sets - 1) * chi2 / denominator
    return value, float(distribution.sf(value, strategies - 1, (strategies - 1) * (data_sets - 1)))


def _maximal(groups: Sequence[list[str]]) -> list[list[str]]:
    """Return the groups that are not a proper subset of another, each once."""
    unique = [list(group) for group in dict.fromkeys(map(tuple, groups))]
    return [group for group in unique if not any(set(group) < set(other) for other in unique)]
