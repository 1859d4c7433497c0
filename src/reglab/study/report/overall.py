"""Several tasks as one leaderboard: mean ranks, and Wilcoxon's test over tasks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from reglab.study.report.leaderboard import Line, compared, finish, summary
from reglab.study.report.question import Question
from reglab.study.report.statistics import ranks


def overall(boards: Sequence[Sequence[Line]], question: Question) -> list[Line]:
    """`n` counts tasks, mean and spread are over the tasks' means, `rank` is the mean rank, p is Wilcoxon's over tasks.

    Where every task has the same rows they are compared as they are, else each strategy by the row that validation
    chose in the task. Ranks are taken among the rows compared, in each task.
    """
    told = [[line for line in board if line.n] for board in boards]
    alike = len({frozenset(line.strategy for line in board) for board in told}) == 1
    if not alike:
        told = [_chosen(board) for board in told]
    entries: dict[str, list[tuple[Line, float, tuple[float, float] | None]]] = {}
    for board in told:
        places = ranks([line.mean or 0.0 for line in board], highest_first=question.higher)
        base = next((line.mean for line in board if line.baseline), None)
        for line, place in zip(board, places, strict=True):
            pair = None if base is None or line.baseline or line.mean is None else (line.mean, base)
            entries.setdefault(line.strategy, []).append((line, place, pair))
    lines, means = [], []
    for label, rows in entries.items():
        line = summary(label, rows[0][0].name, [row.mean for row, _, _ in rows if row.mean is not None])
        seconds = [row.seconds for row, _, _ in rows if row.seconds is not None]
        line = replace(
            line,
            seconds=sum(seconds) / len(seconds) if seconds else None,
            chosen=label in _most_chosen(told),
            contested=any(row.contested for row, _, _ in rows) and alike,
            baseline=all(row.baseline for row, _, _ in rows),
        )
        lines.append(compared(line, [pair for _, _, pair in rows if pair is not None], 0.0))
        means.append(sum(place for _, place, _ in rows) / len(rows))
    done = finish(lines, question, means)
    return [replace(line, verdict=line.verdict.replace("seeds", "tasks")) for line in done]


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
