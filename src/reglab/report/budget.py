"""What each strategy's tuning took, what it chose, and what that came to on fresh seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reglab.report.question import Question
from reglab.report.records import value
from reglab.report.study_record import StudyRecord
from reglab.report.trials import Trial, score_of

if TYPE_CHECKING:
    from reglab.report.findings import TaskFindings


@dataclass(frozen=True)
class Budget:
    """One strategy on one task.

    Attributes:
        strategy: as tagged.
        trials: in the order of their numbers.
        chosen: the one that went on; None where none did.
        validation: mean over the fresh seeds of what chose.
        test: mean over the fresh seeds of the reported metric.
        optimism: by how much the best validation in tuning looks better than the test on fresh seeds; None where they
            are not the same quantity.
    """

    strategy: str
    trials: Sequence[Trial]
    chosen: Trial | None
    validation: float | None
    test: float | None
    optimism: float | None

    @property
    def runs(self) -> int:
        """How many runs were trained."""
        return sum(trial.runs for trial in self.trials)

    @property
    def seconds(self) -> float:
        """Of training, over all runs."""
        return sum(trial.seconds for trial in self.trials)

    @property
    def run_seconds(self) -> float | None:
        """Seconds of a run on average."""
        return self.seconds / self.runs if self.runs else None

    @property
    def tried(self) -> int:
        """How many trials there were, those that were never run left out."""
        return sum(trial.runs > 0 for trial in self.trials)

    @property
    def lost(self) -> bool:
        """Whether all its trials are over, and none could be chosen."""
        return self.chosen is None and self.count("not done") == 0

    def count(self, status: str) -> int:
        """How many trials ended so."""
        return sum(trial.status == status for trial in self.trials)


def budgets(found: "TaskFindings", study: StudyRecord, trials: Sequence[Trial], question: Question) -> list[Budget]:
    """Of each strategy that had trials on the task, in the order of its leaderboard.

    Args:
        found: what the task says.
        study: what was declared.
        trials: of this task.
        question: the reported metric.
    """
    own: dict[str, list[Trial]] = {}
    for trial in trials:
        own.setdefault(trial.strategy, []).append(trial)
    order = [name for line in found.lines if (name := line.name) in own]
    return [_budget(found, study, name, own[name], question) for name in dict.fromkeys([*order, *own])]


def unequal(rows: Sequence[Budget], study: StudyRecord) -> list[str]:
    """Sentences on budgets that were not the same; a strategy with nothing to search has one trial by nature."""
    searched = [row for row in rows if study.tuned(row.strategy)]
    counts = {row.strategy: row.tried for row in searched}
    if len(set(counts.values())) < 2:
        return []
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    sentence = f"Equal budgets broken: the strategies had unlike numbers of trials ({told})."
    cut = [
        r.strategy for r in searched if study.max_seconds and r.seconds >= study.max_seconds and r.tried < study.trials
    ]
    if cut:
        sentence += f" study.max_seconds={study.max_seconds:g} ended the tuning of {', '.join(cut)}."
    return [sentence]


def without_score(rows: Sequence[Budget]) -> list[str]:
    """A sentence on each strategy of whose trials some gave no score: it was chosen among fewer, or not at all."""
    weak = []
    for row in rows:
        lost: Mapping[str, int] = {what: row.count(what) for what in ("diverged", "failed", "not done")}
        told = [f"{count} {what}" for what, count in lost.items() if count]
        if told:
            count = f"{sum(lost.values())} of its {len(row.trials)} trials"
            lacks = "" if row.chosen else ", none was chosen, and the leaderboard lacks it"
            weak.append(f"{row.strategy}: {count} gave no score ({', '.join(told)}){lacks}.")
    return weak


def optimism(validation: float | None, test: float | None, select_by: str, question: Question) -> float | None:
    """How much better validation looks than the test, positive where it does; None for unlike quantities."""
    if validation is None or test is None or select_by.rsplit("/", 1)[-1] != question.metric.rsplit("/", 1)[-1]:
        return None
    return validation - test if question.higher else test - validation


def _budget(
    found: "TaskFindings", study: StudyRecord, strategy: str, trials: Sequence[Trial], question: Question
) -> Budget:
    records = [r for row in found.grid.rows if row.strategy == strategy for r in row.runs.values()]
    validation = _mean([score_of(study, record) for record in records])
    test = _mean([value(record, question.metric) for record in records])
    chosen = next((trial for trial in trials if trial.chosen), None)
    gap = optimism(chosen.score if chosen else None, test, study.select_by[0], question)
    return Budget(strategy, trials, chosen, validation, test, gap)


def _mean(values: Sequence[float | None]) -> float | None:
    told = [v for v in values if v is not None]
    return sum(told) / len(told) if told else None
