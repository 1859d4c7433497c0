"""The report's tables as CSV text: plain numbers, and nothing where nothing can be said."""

from collections.abc import Sequence

from reglab.report.findings import Findings
from reglab.report.leaderboard import COLUMNS, Line
from reglab.report.many_tasks import ManyTasks
from reglab.report.statistics import Difference
from reglab.wording import csv_text

_TEST = ("diff_low", "diff_high", "p", "p_holm")
PAIRWISE = ("first", "second", "n", "rank_first", "rank_second", "diff", *_TEST)
INTERACTIONS = ("task", "strategy", "n", "effect", "sum_of_parts", "diff", *_TEST, "verdict", "reason")


def to_csv(lines: Sequence[Line]) -> str:
    """The leaderboard with the columns of the contract."""
    return csv_text(COLUMNS, (line.cells() for line in lines))


def pairwise(many: ManyTasks) -> str:
    """All strategies against each other; `n` counts data sets, `diff` is first minus second."""
    rank = dict(zip(many.strategies, many.ranks, strict=True))
    return csv_text(
        PAIRWISE,
        (
            [
                pair.first,
                pair.second,
                str(pair.difference.pairs),
                *_numbers(rank[pair.first], rank[pair.second], pair.difference.mean),
                *_test(pair.difference, pair.p_holm),
            ]
            for pair in many.pairs
        ),
    )


def interactions(findings: Findings) -> str | None:
    """Combinations of all tasks; `n` counts seeds, `diff` is effect minus sum_of_parts. None where there are none."""
    rows = [
        [
            found.task.name,
            one.label,
            str(one.difference.pairs),
            *_numbers(one.effect, one.parts, one.difference.mean),
            *_test(one.difference, one.p_holm),
            one.verdict,
            one.reason,
        ]
        for found in findings.tasks
        for one in found.interactions
    ]
    return csv_text(INTERACTIONS, rows) if rows else None


def _test(difference: Difference, p_holm: float) -> list[str]:
    low, high = difference.interval or (None, None)
    return _numbers(low, high, difference.p, p_holm)


def _numbers(*values: float | None) -> list[str]:
    return ["" if value is None else f"{value:.10g}" for value in values]
