"""Do strategies differ over data sets at all, and which pairs: Friedman's test, then Wilcoxon's with Holm.

Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7 (2006), with pairs told apart by
Wilcoxon's test, as Benavoli, Corani and Mangili (JMLR 17, 2016) advise: what it says of two does not depend on a third.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reglab.report import statistics
from reglab.report.number_format import p_value

STRATEGIES, DATA_SETS = 3, 5  # fewer say nothing


@dataclass(frozen=True)
class Pair:
    """Two strategies over data sets: `difference` is first minus second, `p_holm` corrects for all pairs."""

    first: str
    second: str
    difference: statistics.Difference
    p_holm: float

    @property
    def told_apart(self) -> bool:
        """Whether the corrected test tells them apart."""
        return self.p_holm < statistics.ALPHA


@dataclass(frozen=True)
class ManyTasks:
    """Strategies from the best mean rank (over data sets) to the worst, tests of all of them, and of each pair."""

    strategies: list[str]
    ranks: list[float]
    data_sets: int
    chi2: float
    chi2_p: float
    f: float
    f_p: float
    pairs: list[Pair]

    @property
    def sentence(self) -> str:
        """Whether strategies differ at all."""
        rest = (len(self.strategies) - 1) * (self.data_sets - 1)
        sure = "differ" if self.f_p < statistics.ALPHA else "are not shown to differ"
        return (
            f"The {len(self.strategies)} strategies {sure} over {self.data_sets} data sets: Friedman’s χ² = "
            f"{self.chi2:.2f}, p {p_value(self.chi2_p, sign=True)}; Iman and Davenport’s F({len(self.strategies) - 1}, "
            f"{rest}) = {'∞' if math.isinf(self.f) else f'{self.f:.2f}'}, p {p_value(self.f_p, sign=True)}."
        )

    @property
    def too_few(self) -> bool:
        """Whether no pair could be told apart, whatever the ranks."""
        return statistics.too_few(self.data_sets, len(self.pairs))

    @property
    def bars(self) -> str:
        """What the bars of the diagram mean, or why there are none."""
        count = len(self.pairs)
        if self.too_few:
            floor = p_value(min(1.0, statistics.smallest_p(self.data_sets) * count))
            return (
                f"No bars: with {self.data_sets} data sets and {count} pairs no corrected p can fall below {floor}, so "
                "no pair could be told apart."
            )
        return f"Bars join strategies that Wilcoxon’s test, Holm-corrected for {count} pairs, does not tell apart."

    @property
    def groups(self) -> list[list[str]]:
        """The largest groups of two or more, within which no pair is told apart, each from best to worst."""
        alike = {frozenset((pair.first, pair.second)) for pair in self.pairs if not pair.told_apart}
        groups: list[list[str]] = []
        for name in self.strategies:  # every group without `name`, then what of it `name` can join
            joined = [[*(other for other in group if frozenset((other, name)) in alike), name] for group in groups]
            groups = _largest([*groups, *joined, [name]])
        return [group for group in groups if len(group) > 1]


def many_tasks(strategies: Sequence[str], values: np.ndarray, *, higher: bool) -> ManyTasks:
    """Ranks, Friedman's test with its correction by Iman and Davenport, and all pairs.

    Args:
        strategies: three or more names.
        values: (data sets, strategies), the metric; no value is missing.
        higher: whether a higher value is better.
    """
    from scipy.stats import friedmanchisquare

    ranks = np.array([statistics.ranks(row.tolist(), highest_first=higher) for row in values])
    data_sets, count = values.shape
    # Where all are equal on every data set, the statistic is 0 / 0.
    level = bool((ranks == ranks[:, :1]).all())
    chi2, chi2_p = (0.0, 1.0) if level else map(float, friedmanchisquare(*ranks.T))
    f, f_p = iman_davenport(chi2, data_sets, count)
    order = sorted(range(count), key=lambda i: (ranks[:, i].mean(), strategies[i]))
    ordered = values[:, order]
    errors = statistics.errors_of(ordered)
    names = [strategies[i] for i in order]
    pairs = [
        Pair(
            names[i], names[j], statistics.paired(ordered[:, i] - ordered[:, j], errors=errors[:, i] + errors[:, j]), 1
        )
        for i, j in itertools.combinations(range(count), 2)
    ]
    adjusted = statistics.holm([pair.difference.p for pair in pairs])
    pairs = [replace(pair, p_holm=p) for pair, p in zip(pairs, adjusted, strict=True)]
    return ManyTasks(names, ranks.mean(axis=0)[order].tolist(), data_sets, chi2, chi2_p, f, f_p, pairs)


def too_little(strategies: int, data_sets: int) -> str | None:
    """Why ranks over data sets would say nothing; None where they say something."""
    if strategies >= STRATEGIES and data_sets >= DATA_SETS:
        return None
    return (
        f"A test of all strategies and a critical-difference diagram need {STRATEGIES} strategies and {DATA_SETS} data "
        f"sets at least; {strategies} and {data_sets} were compared."
    )


def iman_davenport(chi2: float, data_sets: int, strategies: int) -> tuple[float, float]:
    """F and its p from Friedman's statistic, which is too conservative by itself (Iman and Davenport 1980).

    F = (N - 1) chi2 / (N (k - 1) - chi2) with k - 1 and (k - 1)(N - 1) degrees of freedom; infinite where all data sets
    give the same order. It is the F of an analysis of variance of the ranks, with ties too.
    """
    from scipy.stats import f as distribution

    rest = data_sets * (strategies - 1) - chi2
    if rest <= 1e-9 * chi2:
        return math.inf, 0.0
    value = (data_sets - 1) * chi2 / rest
    return value, float(distribution.sf(value, strategies - 1, (strategies - 1) * (data_sets - 1)))


def _largest(groups: Sequence[list[str]]) -> list[list[str]]:
    """The groups that lie in no other, each once."""
    unique = [list(group) for group in dict.fromkeys(map(tuple, groups))]
    return [group for group in unique if not any(set(group) < set(other) for other in unique)]
