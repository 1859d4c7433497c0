"""Tables of a report as CSV text: unrounded numbers, empty cells for values that cannot be computed."""

import json
from collections.abc import Iterable, Sequence

from reglab.report.findings.findings import TaskFindings
from reglab.report.findings.leaderboard import Entry
from reglab.report.statistics.data_sets import DataSetComparison
from reglab.report.statistics.paired import Difference
from reglab.report.trials import Trial
from reglab.schema.search_space import value_to_json
from reglab.wording import csv_text

_TEST = ("diff_low", "diff_high", "p", "p_holm")
_RESULTS = ("n", "mean", "std", "ci_low", "ci_high", "diff")
LEADERBOARD = ("strategy", *_RESULTS, *_TEST, "rank", "seconds", "verdict", "reason")
PAIRWISE = ("first", "second", "n", "rank_first", "rank_second", "diff", *_TEST)
INTERACTIONS = ("task", "strategy", "n", "effect", "sum_of_parts", "diff", *_TEST, "verdict", "reason")
TUNING = ("task", "strategy", "trial", "rung", "values", "score", "seeds", "seconds", "status", "chosen")


def leaderboard_csv(entries: Sequence[Entry]) -> str:
    """Return a leaderboard with the columns of `LEADERBOARD`."""
    return csv_text(LEADERBOARD, map(_leaderboard_row, entries))


def pairwise_csv(comparison: DataSetComparison) -> str:
    """Return all pairs of strategies; `n` counts data sets, `diff` is first minus second."""
    rank = dict(zip(comparison.strategies, comparison.ranks, strict=True))
    rows = [
        [
            pair.first,
            pair.second,
            str(pair.difference.pairs),
            *_numbers(rank[pair.first], rank[pair.second], pair.difference.mean),
            *_test(pair.difference, pair.p_holm),
        ]
        for pair in comparison.pairs
    ]
    return csv_text(PAIRWISE, rows)


def interactions_csv(tasks: Sequence[TaskFindings]) -> str:
    """Return the combinations of all tasks; `n` counts seeds, `diff` is effect minus sum_of_parts."""
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
        for found in tasks
        for one in found.interactions
    ]
    return csv_text(INTERACTIONS, rows)


def tuning_csv(trials: Iterable[Trial]) -> str:
    """Return a row for each trial; values are JSON, in which infinity is text."""
    rows = [
        [
            trial.task,
            trial.strategy,
            trial.number,
            trial.rung,
            json.dumps({key: value_to_json(value) for key, value in trial.values.items()}),
            *_numbers(trial.score),
            trial.seeds,
            *_numbers(trial.seconds),
            trial.status,
            str(trial.chosen).lower(),
        ]
        for trial in trials
    ]
    return csv_text(TUNING, rows)


def _leaderboard_row(entry: Entry) -> list[str]:
    low, high = entry.interval or (None, None)
    diff_low, diff_high = entry.diff_interval or (None, None)
    results = _numbers(entry.mean, entry.std, low, high, entry.diff, diff_low, diff_high, entry.p, entry.p_holm)
    numbers = [*results, *_numbers(entry.rank, entry.seconds)]
    return [entry.label, str(entry.n), *numbers, entry.verdict, entry.reason]


def _test(difference: Difference, p_holm: float) -> list[str]:
    low, high = difference.interval or (None, None)
    return _numbers(low, high, difference.p, p_holm)


def _numbers(*values: float | None) -> list[str]:
    return ["" if value is None else f"{value:.10g}" for value in values]
