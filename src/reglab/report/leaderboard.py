"""The leaderboard of one task, and the overall one of several."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reglab.report import statistics
from reglab.report.arms import Grid, Row
from reglab.report.question import Question
from reglab.report.select import Choice

_RESULTS = ("n", "mean", "std", "ci_low", "ci_high")
_TEST = ("diff", "diff_low", "diff_high", "p", "p_holm")
COLUMNS = ("strategy", *_RESULTS, *_TEST, "rank", "seconds", "verdict", "reason")


@dataclass(frozen=True)
class Line:
    """One line. `n` counts seeds (tasks in an overall leaderboard); what cannot be said is None.

    `strategy` is the row's label, `name` the strategy without strengths; `diff` is the mean of `pairs` differences,
    `diff_std` their spread; `p_t` is the p of the t-test where splits overlap, else None; `chosen` marks the row that
    stands for its strategy, `contested` that it had rivals. `reason` says why the verdict is no difference, if `p_holm`
    and `diff_interval` do not show it; else it is empty.
    """

    strategy: str
    name: str
    n: int
    mean: float | None = None
    std: float | None = None
    interval: statistics.Interval | None = None
    diff: float | None = None
    diff_interval: statistics.Interval | None = None
    diff_std: float | None = None
    pairs: int = 0
    p: float | None = None
    p_holm: float | None = None
    p_t: float | None = None
    p_t_holm: float | None = None
    method: str = ""
    rank: float | None = None
    seconds: float | None = None
    selected_on: float | None = None
    chosen: bool = True
    contested: bool = False
    baseline: bool = False
    verdict: str = ""
    reason: str = ""

    def cells(self) -> list[str]:
        """The values of `COLUMNS` as they stand in the CSV file; empty where nothing can be said."""
        low, high = self.interval or (None, None)
        below, above = self.diff_interval or (None, None)
        numbers = (
            self.mean,
            self.std,
            low,
            high,
            self.diff,
            below,
            above,
            self.p,
            self.p_holm,
            self.rank,
            self.seconds,
        )
        written = ("" if x is None else f"{x:.10g}" for x in numbers)
        return [self.strategy, str(self.n), *written, self.verdict, self.reason]


def of_task(grid: Grid, choice: Choice, question: Question, overlap: float) -> list[Line]:
    """Lines of one task, best first; differences are paired with the baseline's row by seed (and split)."""
    base = baseline_row(grid, choice, question)
    lines = [_line(row, base, choice, question, overlap, grid) for row in grid.rows]
    return finish(lines, question)


def baseline_row(grid: Grid, choice: Choice, question: Question) -> Row | None:
    """The row that others are compared with: the baseline's own, or the one chosen among its strengths."""
    rows = [row for row in grid.rows if row.runs and question.baseline in (row.strategy, row.label)]
    return next((row for row in rows if choice.stands(row) or row.label == question.baseline), None)


def pairs(row: Row, base: Row, metric: str) -> list[tuple[float, float]]:
    """(row's value, baseline's value) of the cells that both have."""
    own, other = row.values(metric), base.values(metric)
    return [(own[cell], other[cell]) for cell in own if cell in other]


def _line(row: Row, base: Row | None, choice: Choice, question: Question, overlap: float, grid: Grid) -> Line:
    line = summary(row.label, row.strategy, list(row.values(question.metric).values()))
    line = replace(
        line,
        seconds=row.mean("time/train_s"),
        selected_on=choice.scores.get(row.label),
        chosen=choice.stands(row),
        contested=sum(r.strategy == row.strategy for r in grid.rows) > 1,
        baseline=row is base,
    )
    return compared(line, pairs(row, base, question.metric) if base and row is not base else [], overlap)


def summary(label: str, name: str, values: Sequence[float]) -> Line:
    """Mean, spread (n - 1 in the denominator) and bootstrap interval of the values."""
    if not values:
        return Line(label, name, 0, chosen=False)
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Line(label, name, len(values), float(np.mean(values)), std, statistics.interval_of_mean(values))


def compared(line: Line, pairs: Sequence[tuple[float, float]], overlap: float) -> Line:
    """The line with its paired difference from (own, baseline's) values, or as it was where there are no pairs."""
    if not pairs:
        return line
    own, base = map(np.array, zip(*pairs, strict=True))
    d = statistics.paired(own - base, errors=statistics.errors_of(own) + statistics.errors_of(base), overlap=overlap)
    p_t = d.p_t if overlap else None
    line = replace(line, diff=d.mean, diff_interval=d.interval, diff_std=d.std, pairs=d.pairs)
    return replace(line, p=d.p, p_t=p_t, method=d.method)


def finish(lines: Sequence[Line], question: Question, ranks: Sequence[float | None] | None = None) -> list[Line]:
    """Holm over all lines with a p, verdicts, ranks (of the means, unless given), sorted by rank; empty lines last."""
    tested = [line for line in lines if line.p is not None]
    p_holm, p_t_holm = _adjusted(tested, "p"), _adjusted(tested, "p_t")
    if ranks is None:
        told = [line.mean for line in lines if line.mean is not None]
        places = iter(statistics.ranks(told, highest_first=question.higher) if told else [])
        ranks = [None if line.mean is None else next(places) for line in lines]
    done = []
    for line, rank in zip(lines, ranks, strict=True):
        now = replace(line, rank=rank, p_holm=p_holm.get(id(line)), p_t_holm=p_t_holm.get(id(line)))
        done.append(_judged(now, len(tested), question.higher))
    return sorted(done, key=lambda line: (line.rank is None, line.rank or 0.0, line.strategy))


def _adjusted(lines: Sequence[Line], name: str) -> dict[int, float]:
    """Holm's p by the id of the line, over those that have one."""
    told = {id(line): p for line in lines if (p := getattr(line, name)) is not None}
    return dict(zip(told, statistics.holm(list(told.values())), strict=True))


def _judged(line: Line, comparisons: int, higher: bool) -> Line:
    """Return the line with its verdict, and the reason of `no clear difference`."""
    line = replace(line, verdict=_verdict(line, comparisons, higher))
    if line.verdict != _UNCLEAR or line.p_holm is None:
        return line
    return replace(line, reason=statistics.why_unclear(line.p_holm, line.diff_interval, line.p_t_holm, comparisons))


_UNCLEAR = "no clear difference"


def _verdict(line: Line, comparisons: int, higher: bool) -> str:
    """`helps` and `hurts` where a difference may be claimed (see `statistics.claims`), else why none is."""
    if line.baseline:
        return "baseline"
    if line.n == 0:
        return "no result"
    if line.p_holm is None or line.diff is None:
        return ""
    if statistics.claims(line.p_holm, line.diff_interval, line.p_t_holm):
        return "helps" if (line.diff > 0) == higher else "hurts"
    if line.p_holm >= statistics.ALPHA and statistics.too_few(line.pairs, comparisons):
        return "too few seeds to tell"
    return _UNCLEAR
