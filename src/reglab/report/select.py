"""Validation chooses: which strength stands for each strategy."""

from dataclasses import dataclass

from reglab.report.arms import Grid, Row
from reglab.report.question import Question


@dataclass(frozen=True)
class Choice:
    """The label that stands for each strategy, and the metric that chose (None where there was nothing to choose).

    `undecided` names strategies with several strengths and no validation metric to choose by: all their rows stand.
    """

    chosen: dict[str, str]
    metric: str | None
    scores: dict[str, float]
    undecided: list[str]

    def stands(self, row: Row) -> bool:
        """Whether the row speaks for its strategy."""
        return self.chosen.get(row.strategy) == row.label or row.strategy in self.undecided


def choose(grid: Grid, question: Question) -> Choice:
    """The best mean of the selecting metric among the rows of each strategy; the first of equals.

    Only rows with the most seeds of their strategy can be chosen: a strength that failed on some would be judged by the
    seeds that it survived.
    """
    by_strategy: dict[str, list[Row]] = {}
    for row in grid.rows:
        if row.runs:
            by_strategy.setdefault(row.strategy, []).append(row)
    most = {name: max(len(row.runs) for row in rows) for name, rows in by_strategy.items()}
    whole = {name: [row for row in rows if len(row.runs) == most[name]] for name, rows in by_strategy.items()}
    contested = [row for rows in whole.values() if len(rows) > 1 for row in rows]
    chosen = {name: rows[0].label for name, rows in whole.items() if len(rows) == 1}
    if not contested:
        return Choice(chosen, None, {}, [])
    metric = _metric(contested, question.select_by)
    means = {row.label: row.mean(metric) for row in contested} if metric else {}
    scores = {label: mean for label, mean in means.items() if mean is not None}
    undecided = []
    sign = -1.0 if question.select_direction == "max" else 1.0
    for name, rows in whole.items():
        if len(rows) > 1:
            known = [row.label for row in rows if row.label in scores]
            if known:
                chosen[name] = min(known, key=lambda label: sign * scores[label])
            else:
                undecided.append(name)
    return Choice(chosen, metric, scores, undecided)


def _metric(rows: list[Row], candidates: tuple[str, ...]) -> str | None:
    """The first candidate that every run tracks, else the first that any run tracks."""
    for enough in (all, any):
        for metric in candidates:
            if enough(len(row.values(metric)) == len(row.runs) for row in rows):
                return metric
    return next((m for m in candidates if any(row.values(m) for row in rows)), None)
