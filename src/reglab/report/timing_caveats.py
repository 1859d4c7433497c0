"""Whether other work on the machine disturbed the timings of a study, or held them up."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from reglab.report.budget import Budget
from reglab.report.number_format import seconds
from reglab.report.study_record import StudyRecord

if TYPE_CHECKING:
    from reglab.report.findings import TaskFindings

MOST = 2.0  # seeds, and the first run of a process, account for less
HELD_UP = 20.0  # times the median: neither what was searched nor an early stop accounts for that
_NOT_COMPARED = "Seconds do not compare strategies here, and equal compute is not shown."


def disturbed(found: "TaskFindings", rows: Sequence[Budget], study: StudyRecord) -> list[str]:
    """Sentences where the seconds of a study are not those of its work.

    Args:
        found: what the confirmation runs say.
        rows: what tuning says, by strategy.
        study: what was declared; under pruning no two trainings are of one length.
    """
    if study.pruning is not None:
        return []
    return [f"{text} {_NOT_COMPARED}" for text in (*_slowed(found, rows), *_held_up(rows))]


def _slowed(found: "TaskFindings", rows: Sequence[Budget]) -> list[str]:
    """Where strategies do not agree on how much longer the chosen trials took on fresh seeds than in tuning.

    Work that waits for another process slows some strategies and not others, and then no seconds compare them.
    """
    fresh = {line.name: line.seconds for line in found.lines if line.chosen and line.seconds}
    tuned = {row.strategy: row.chosen.seconds / row.chosen.runs for row in rows if row.chosen and row.chosen.runs}
    ratios = {name: fresh[name] / took for name, took in tuned.items() if took and name in fresh}
    if len(ratios) < 2 or max(ratios.values()) <= MOST * min(ratios.values()):
        return []
    told = [
        f"that of {name} {seconds(tuned[name])} s in tuning and {seconds(fresh[name])} s on fresh seeds"
        for name in (min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__))
    ]
    return [
        f"Other work on the machine disturbed the timings: of the chosen trials {' and '.join(told)} (a run, for the "
        "same work)."
    ]


def _held_up(rows: Sequence[Budget]) -> list[str]:
    """Where a trial took so much longer than others of its strategy that its process must have stood still."""
    told = []
    for row in rows:
        took = [trial.seconds / trial.runs for trial in row.trials if trial.runs and trial.seconds]
        if took and max(took) > HELD_UP * median(took):
            told.append(f"of {row.strategy} {seconds(max(took))} s a run, {seconds(median(took))} s in the middle")
    return [f"Training was held up: single trials took much longer than others ({'; '.join(told)})."] if told else []
