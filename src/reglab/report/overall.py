"""Several tasks as one leaderboard: mean ranks, and Wilcoxon's test over data sets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean as mean

import numpy as np

from reglab.report.leaderboard import Line, compared, finish, summary
from reglab.report.many_tasks import ManyTasks, many_tasks, too_little
from reglab.report.question import Question
from reglab.report.statistics import ranks


def overall(boards: Sequence[Sequence[Line]], question: Question, data: Sequence[str]) -> list[Line]:
    """`n` counts tasks, `rank` is the mean rank over them, p is Wilcoxon's. Mean, spread and interval are over data
    sets, each with the mean over its tasks, so that means differ by what `diff` says.

    Where every task has the same rows they are compared as they are, else each strategy by the row that validation
    chose in the task. Ranks are taken among the rows that every task has; others have none. Differences and p are over
    data sets, with the mean over the tasks of each: settings of one data set are no independent repetitions.

    Args:
        boards: the lines of each task.
        data: the data set of each task.
    """
    told, alike = _comparable(boards)
    everywhere = set.intersection(*({line.strategy for line in board} for board in told))
    places: dict[str, list[float]] = {label: [] for label in everywhere}
    rows: dict[str, list[tuple[str, Line]]] = {}
    pairs: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for board, name in zip(told, data, strict=True):
        ranked = [line for line in board if line.strategy in everywhere]
        for line, place in zip(ranked, ranks([_mean(line) for line in ranked], question.higher), strict=True):
            places[line.strategy].append(place)
        base = next((line for line in board if line.baseline), None)
        for line in board:
            rows.setdefault(line.strategy, []).append((name, line))
            if base is not None and not line.baseline:
                pairs.setdefault(line.strategy, {}).setdefault(name, []).append((_mean(line), _mean(base)))
    chosen = _most_chosen(told)
    lines = [_over_tasks(label, own, chosen, contested=alike) for label, own in rows.items()]
    lines = [compared(line, [_averaged(p) for p in pairs.get(line.strategy, {}).values()], 0.0) for line in lines]
    done = finish(lines, question, [mean(places[line.strategy]) if line.strategy in places else None for line in lines])
    return [replace(line, verdict=line.verdict.replace("seeds", "data sets")) for line in done]


def over_data_sets(
    boards: Sequence[Sequence[Line]], data: Sequence[str], lines: Sequence[Line], question: Question
) -> ManyTasks | str:
    """All strategies against each other, with the mean over the tasks of each data set; or why they are not.

    Args:
        boards: the lines of each task.
        data: the data set of each task.
        lines: the overall leaderboard, of which the rows that stand for their strategies and have a rank are compared.
    """
    strategies = [line.strategy for line in lines if line.chosen and line.rank is not None]
    sets = list(dict.fromkeys(data))
    if (why := too_little(len(strategies), len(sets))) is not None:
        return why
    told, _ = _comparable(boards)
    means = [{line.strategy: _mean(line) for line in board} for board in told]
    values = [
        [mean(own[strategy] for own, name in zip(means, data, strict=True) if name == one) for strategy in strategies]
        for one in sets
    ]
    return many_tasks(strategies, np.array(values), higher=question.higher)


def _comparable(boards: Sequence[Sequence[Line]]) -> tuple[list[list[Line]], bool]:
    """Rows with a value, and whether all tasks have the same; where not, one for each strategy, by its plain name."""
    told = [[line for line in board if line.n] for board in boards]
    alike = len({frozenset(line.strategy for line in board) for board in told}) == 1
    return (told if alike else [_chosen(board) for board in told]), alike


def cautions(lines: Sequence[Line], data: Sequence[str]) -> list[str]:
    """What weakens the overall leaderboard: strategies that some tasks lack, tasks that share a data set."""
    told = [
        f"{line.strategy} was run on {line.n} of {len(data)} tasks: it has no rank, and its mean is over those alone."
        for line in lines
        if 0 < line.n < len(data)
    ]
    shared = sorted(name for name, count in Counter(data).items() if count > 1)
    if shared:
        told.append(
            f"Several tasks are settings of one data set ({', '.join(shared)}): the test over data sets counts it once."
        )
    return told


def _over_tasks(label: str, rows: Sequence[tuple[str, Line]], chosen: set[str], *, contested: bool) -> Line:
    """One line over the tasks that have it, told as (data set, its line there)."""
    lines = [line for _, line in rows]
    seconds = [line.seconds for line in lines if line.seconds is not None]
    sets = [mean(_mean(line) for name, line in rows if name == one) for one in dict.fromkeys(name for name, _ in rows)]
    return replace(
        summary(label, lines[0].name, sets),
        n=len(lines),
        seconds=mean(seconds) if seconds else None,
        chosen=label in chosen,
        contested=any(line.contested for line in lines) and contested,
        baseline=all(line.baseline for line in lines),
    )


def _mean(line: Line) -> float:
    assert line.mean is not None, "lines without a value are left out"
    return line.mean


def _averaged(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    own, base = zip(*pairs, strict=True)
    return mean(own), mean(base)


def _chosen(board: Sequence[Line]) -> list[Line]:
    """The board's standing rows under their strategies' plain names, unless two rows stand for one strategy."""
    standing = [line for line in board if line.chosen]
    count = Counter(line.name for line in standing)
    return [replace(line, strategy=line.name) if count[line.name] == 1 else line for line in standing]


def _most_chosen(boards: Sequence[Sequence[Line]]) -> set[str]:
    """For each strategy, the row that validation chose in most tasks."""
    votes: dict[str, Counter[str]] = {}
    for board in boards:
        for line in board:
            votes.setdefault(line.name, Counter())[line.strategy] += int(line.chosen)
    return {counter.most_common(1)[0][0] for counter in votes.values()}
