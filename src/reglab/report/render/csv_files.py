"""Tables of a report as CSV text: unrounded numbers, empty cells for values that cannot be computed."""

import json
from collections.abc import Iterable, Sequence

from reglab.report.findings.findings import TaskFindings
from reglab.report.findings.leaderboard import Entry
from reglab.report.statistics.data_sets import DataSetComparison
from reglab.report.statistics.paired import Difference
from reglab.report.trials import TrialSummary
from reglab.schema.search_space import value_to_json
from reglab.wording import csv_text

_TEST_COLUMNS = ("diff_low", "diff_high", "p", "p_holm")
_RESULT_COLUMNS = ("n", "mean", "std", "ci_low", "ci_high", "diff")
LEADERBOARD = ("strategy", *_RESULT_COLUMNS, *_TEST_COLUMNS, "rank", "seconds", "verdict", "reason")
PAIRWISE = ("first", "second", "n", "rank_first", "rank_second", "diff", *_TEST_COLUMNS)
INTERACTIONS = ("task", "strategy", "n", "effect", "sum_of_parts", "diff", *_TEST_COLUMNS, "verdict", "reason")
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
            *_number_cells(rank[pair.first], rank[pair.second], pair.difference.mean),
            *_test_cells(pair.difference, pair.p_holm),
        ]
        for pair in comparison.pairs
    ]
    return csv_text(PAIRWISE, rows)


def interactions_csv(tasks: Sequence[TaskFindings]) -> str:
    """Return the combinations of all tasks; `n` counts seeds, `diff` is effect minus sum_of_parts."""
    rows = [
        [
            task_findings.task.name,
            interaction.label,
            str(interaction.difference.pairs),
            *_number_cells(interaction.effect, interaction.parts, interaction.difference.mean),
            *_test_cells(interaction.difference, interaction.p_holm),
            interaction.verdict,
            interaction.reason,
        ]
        for task_findings in tasks
        for interaction in task_findings.interactions
    ]
    return csv_text(INTERACTIONS, rows)


def tuning_csv(trials: Iterable[TrialSummary]) -> str:
    """Return a row for each trial; values are JSON, in which infinity is text."""
    rows = [
        [
            trial.task,
            trial.strategy,
            trial.number,
            trial.rung,
            json.dumps({key: value_to_json(value) for key, value in trial.values.items()}),
            *_number_cells(trial.score),
            trial.seeds,
            *_number_cells(trial.seconds),
            trial.status,
            str(trial.chosen).lower(),
        ]
        for trial in trials
    ]
    return csv_text(TUNING, rows)


def _leaderboard_row(entry: Entry) -> list[str]:
    low, high = entry.interval or (None, None)
    diff_low, diff_high = entry.diff_interval or (None, None)
    results = _number_cells(entry.mean, entry.std, low, high, entry.diff, diff_low, diff_high, entry.p, entry.p_holm)
    numbers = [*results, *_number_cells(entry.rank, entry.seconds)]
    return [entry.label, str(entry.n), *numbers, entry.verdict, entry.reason]


def _test_cells(difference: Difference, p_holm: float) -> list[str]:
    low, high = difference.interval or (None, None)
    return _number_cells(low, high, difference.p, p_holm)


def _number_cells(*values: float | None) -> list[str]:
    return ["" if value is None else f"{value:.10g}" for value in values]
