"""Tasks that differ in one number alone, as the share of wrong labels: what a strategy brings along it."""

from collections.abc import Sequence
from dataclasses import dataclass

from reglab.report.findings import TaskFindings
from reglab.report.leaderboard import Line

_LEAST = 3  # tasks: two points show no course


@dataclass(frozen=True)
class Along:
    """The tasks of one data set by the number in which they differ.

    Attributes:
        feature: what differs, as it is called in the tasks' names.
        values: of that feature, ascending.
        tasks: one for each value.
    """

    data: str
    feature: str
    values: list[float]
    tasks: list[TaskFindings]

    def lines(self, strategy: str) -> list[tuple[float, Line]]:
        """(value, line) wherever the strategy was compared with the baseline."""
        return [
            (value, line)
            for value, found in zip(self.values, self.tasks, strict=True)
            for line in found.lines
            if line.name == strategy and line.chosen and line.diff is not None
        ]


def along(tasks: Sequence[TaskFindings]) -> list[Along]:
    """Of every data set with three tasks or more that differ in one numeric feature and in nothing else."""
    found = []
    for data in dict.fromkeys(found.task.data for found in tasks):
        own = [found for found in tasks if found.task.data == data]
        differs = [name for name in own[0].task.about if len({one.task.about.get(name) for one in own}) > 1]
        alike = len({frozenset(one.task.about) for one in own}) == 1
        if len(own) < _LEAST or not alike or len(differs) != 1:
            continue
        placed = {_number(one.task.about[differs[0]]): one for one in own}
        if None not in placed and len(placed) == len(own):
            values = sorted(value for value in placed if value is not None)
            found.append(Along(data, differs[0], values, [placed[value] for value in values]))
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
