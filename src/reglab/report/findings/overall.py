"""The overall leaderboard of several tasks: mean ranks over tasks, and Wilcoxon's test over data sets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from reglab.report.findings.leaderboard import Entry, add_difference, rank_entries, summarize
from reglab.report.question import Question
from reglab.report.statistics.data_sets import DataSetComparison, compare_over_data_sets, reason_not_compared
from reglab.report.statistics.paired import rank_values


def overall_leaderboard(boards: Sequence[Sequence[Entry]], question: Question, data: Sequence[str]) -> list[Entry]:
    """Return the entries over all tasks.

    `n` counts tasks, and `rank` is the mean rank over them, among the entries that every task has; others have no
    rank. Means, differences and p are over data sets, each with the mean over its tasks: several settings of one data
    set are no independent replicates.

    If every task has the same arms, these are compared; else each strategy by the arm that represents it in the task.

    Args:
        boards: the leaderboard of each task.
        question: metric and direction.
        data: the data set of each task.
    """
    comparable, same_arms = _comparable(boards)
    common_labels = set.intersection(*({entry.label for entry in board} for board in comparable))
    ranks: dict[str, list[float]] = {label: [] for label in common_labels}
    by_label: dict[str, list[tuple[str, Entry]]] = {}
    pairs: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for board, name in zip(comparable, data, strict=True):
        shared = [entry for entry in board if entry.label in common_labels]
        for entry, rank in zip(shared, rank_values([_mean(e) for e in shared], question.higher), strict=True):
            ranks[entry.label].append(rank)
        base = next((entry for entry in board if entry.baseline), None)
        for entry in board:
            by_label.setdefault(entry.label, []).append((name, entry))
            if base is not None and not entry.baseline:
                pairs.setdefault(entry.label, {}).setdefault(name, []).append((_mean(entry), _mean(base)))
    chosen = _most_often_chosen(comparable)
    entries = [_over_tasks(label, by_task, chosen, same_arms=same_arms) for label, by_task in by_label.items()]
    entries = [add_difference(e, [_mean_pair(p) for p in pairs.get(e.label, {}).values()], 0.0) for e in entries]
    mean_ranks = [fmean(ranks[entry.label]) if entry.label in ranks else None for entry in entries]
    return rank_entries(entries, question, mean_ranks)


def data_set_comparison(
    boards: Sequence[Sequence[Entry]], data: Sequence[str], overall: Sequence[Entry], question: Question
) -> DataSetComparison | str:
    """Return the tests of all strategies over data sets, or a sentence on why there are too few of either.

    Args:
        boards: the leaderboard of each task.
        data: the data set of each task.
        overall: the overall leaderboard; its entries that represent their strategies and have a rank are compared.
        question: metric and direction.
    """
    labels = [entry.label for entry in overall if entry.chosen and entry.rank is not None]
    data_sets = list(dict.fromkeys(data))
    if (reason := reason_not_compared(len(labels), len(data_sets))) is not None:
        return reason
    comparable, _ = _comparable(boards)
    means = [{entry.label: _mean(entry) for entry in board} for board in comparable]
    values = [
        [fmean(task[label] for task, name in zip(means, data, strict=True) if name == data_set) for label in labels]
        for data_set in data_sets
    ]
    return compare_over_data_sets(labels, np.array(values), higher=question.higher)


def overall_caveats(overall: Sequence[Entry], data: Sequence[str]) -> list[str]:
    """Return caveats on strategies that some tasks lack, and on tasks that share a data set."""
    caveats = [
        f"{entry.label} was run on {entry.n} of {len(data)} tasks: it has no rank, and its mean is over these tasks "
        "only."
        for entry in overall
        if 0 < entry.n < len(data)
    ]
    shared = sorted(name for name, count in Counter(data).items() if count > 1)
    if shared:
        caveats.append(
            f"Several tasks are settings of one data set ({', '.join(shared)}): tests over data sets count it once."
        )
    return caveats


def _comparable(boards: Sequence[Sequence[Entry]]) -> tuple[list[list[Entry]], bool]:
    """Return the entries with a value, and whether all tasks have the same; if not, only the representing entries."""
    with_value = [[entry for entry in board if entry.n] for board in boards]
    same_arms = len({frozenset(entry.label for entry in board) for board in with_value}) == 1
    return (with_value if same_arms else [_representing_entries(board) for board in with_value]), same_arms


def _over_tasks(label: str, by_task: Sequence[tuple[str, Entry]], chosen: set[str], *, same_arms: bool) -> Entry:
    """Return one entry over the tasks that have it, given as (data set, entry)."""
    entries = [entry for _, entry in by_task]
    seconds = [entry.seconds for entry in entries if entry.seconds is not None]
    data_sets = dict.fromkeys(name for name, _ in by_task)
    means = [fmean(_mean(entry) for name, entry in by_task if name == data_set) for data_set in data_sets]
    return replace(
        summarize(label, entries[0].strategy, means),
        n=len(entries),
        seconds=fmean(seconds) if seconds else None,
        chosen=label in chosen,
        has_alternatives=same_arms and any(entry.has_alternatives for entry in entries),
        baseline=all(entry.baseline for entry in entries),
    )


def _mean(entry: Entry) -> float:
    assert entry.mean is not None, "entries without a value are left out"
    return entry.mean


def _mean_pair(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    own, base = zip(*pairs, strict=True)
    return fmean(own), fmean(base)


def _representing_entries(board: Sequence[Entry]) -> list[Entry]:
    """Return the chosen entries, labelled by the strategy alone if it has only one of them."""
    chosen = [entry for entry in board if entry.chosen]
    count = Counter(entry.strategy for entry in chosen)
    return [replace(entry, label=entry.strategy) if count[entry.strategy] == 1 else entry for entry in chosen]


def _most_often_chosen(boards: Sequence[Sequence[Entry]]) -> set[str]:
    """Return for each strategy the entry that represents it in most tasks."""
    votes: dict[str, Counter[str]] = {}
    for board in boards:
        for entry in board:
            votes.setdefault(entry.strategy, Counter())[entry.label] += int(entry.chosen)
    return {counter.most_common(1)[0][0] for counter in votes.values()}
