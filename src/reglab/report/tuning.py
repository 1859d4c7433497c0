"""What a study's tuning says of one task: budgets, choices, importances, and what weakens them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reglab.report.budget import Budget, budgets, unequal, without_score
from reglab.report.equal_compute import Afforded, equal_compute
from reglab.report.importance import importances
from reglab.report.question import Question
from reglab.report.records import Record
from reglab.report.study_record import StudyRecord, short
from reglab.report.timing_caveats import disturbed
from reglab.report.trials import Trial, trials
from reglab.samplers import get_sampler
from reglab.schema.search_space import OFF_PROBABILITY, Choice, Dimension, Range, Value
from reglab.wording import pluralize

if TYPE_CHECKING:
    from reglab.report.findings import TaskFindings


@dataclass(frozen=True)
class TaskTuning:
    """The tuning of one task.

    Attributes:
        study: what was declared.
        budgets: by strategy, in the order of the leaderboard.
        affordable: the seconds of the cheapest tuning, and what each strategy could have done in them; None where the
            order of trials is not chance, or timings were disturbed.
        importances: by strategy, the share of each key; only where there are trials enough.
    """

    study: StudyRecord
    budgets: list[Budget]
    affordable: tuple[float, list[Afforded]] | None
    importances: dict[str, dict[str, float]]

    @property
    def trials(self) -> list[Trial]:
        """All of them."""
        return [trial for row in self.budgets for trial in row.trials]


def with_tuning(
    found: "TaskFindings", study: StudyRecord, records: Sequence[Record], question: Question
) -> "TaskFindings":
    """The findings of a task with those of its tuning, and what these add to its weaknesses; as it was without trials.

    Args:
        found: what the confirmation runs say.
        study: what was declared.
        records: all tracked runs.
        question: the reported metric.
    """
    name = study.task_of(*found.task.key)
    own = [trial for trial in trials(study, records, question.metric) if trial.task == name]
    if not own:
        return found
    rows = budgets(found, study, own, question)
    searched = {row.strategy: row.trials for row in rows if study.tuned(row.strategy)}
    timings = disturbed(found, rows, study)
    affordable = None
    if study.exchangeable and len(searched) > 1 and not timings:
        affordable = equal_compute(searched, minimized=study.minimized)
    told = {row.strategy: importances(study.space.get(row.strategy, ()), row.trials) for row in rows}
    known = {strategy: shares for strategy, shares in told.items() if shares is not None}
    weak = [*unequal(rows, study), *without_score(rows), *_edges(rows, study), *timings]
    tuned = TaskTuning(study, rows, affordable, known)
    return replace(found, tuning=tuned, weaknesses=[*found.weaknesses, *weak])


def at_edge(one: Dimension, value: Value) -> str | None:
    """The end of the range that a value lies at, unless it is off, or that end is the off value itself."""
    if isinstance(one, Choice) or value == one.off:
        return None
    end = one.edge(value)
    return None if end is not None and getattr(one, end) == one.off else end


def rules(study: StudyRecord) -> list[str]:
    """How the tuning was done."""
    off = any(isinstance(one, Range) and one.off is not None for space in study.space.values() for one in space)
    rate = all(any(one.key == "optimizer.lr" for one in space) for space in study.space.values())
    told = [
        f"Tuning: {pluralize(study.trials, 'trial')} of each strategy on each task"
        + (f", or {study.max_seconds:g} s of training if that is reached before" if study.max_seconds else "")
        + f"; {pluralize(len(study.tuning_seeds), 'run')} of each trial (seed {_span(study.tuning_seeds)}). The best "
        + f"mean {study.select_by[0]} chose, of equals the first; the chosen trial was then run on "
        + f"{pluralize(len(study.seeds), 'fresh seed')} ({_span(study.seeds)}), and these alone are compared."
    ]
    told.append(get_sampler(study.sampler).describe(study.search_seed))
    if spaces := _spaces(study):
        told.append(f"Searched: {'; '.join(spaces)}.")
    if off:
        told.append(f"A strength is off in {_share(OFF_PROBABILITY)} of those points: tuning may leave a method out.")
    told.append(
        "The learning rate is searched for every strategy."
        if rate
        else "The learning rate is not searched for every strategy: what suits one rate may not suit another."
    )
    if study.pruning is not None:
        eta, rungs = study.pruning["eta"], study.pruning["rungs"]
        told.append(
            f"Pruning: successive halving over {rungs} rungs; each keeps one trial in {eta} and trains {eta} times as "
            "long. Scores of unlike rungs are not compared."
        )
    return told


def _edges(rows: Sequence[Budget], study: StudyRecord) -> list[str]:
    weak = []
    for row in rows:
        for one in study.space.get(row.strategy, ()):
            value = row.chosen.values.get(one.key) if row.chosen else None
            if isinstance(one, Range) and value is not None and (end := at_edge(one, value)):
                where = f"{short(one.key)}={value:g}, searched from {one.low:g} to {one.high:g}"
                remedy = f"{'lower' if end == 'low' else 'raise'} study.space.{one.key}.{end}"
                text = f"{row.strategy}: the best lies on the edge of the range ({where}): {remedy}."
                if row.strategy == study.baseline:
                    text += " It is the baseline: were it better beyond, every difference would be smaller."
                weak.append(text)
    return weak


def _spaces(study: StudyRecord) -> list[str]:
    """Each key with its range, once, and again where another strategy searches another range of it."""
    told: dict[str, None] = {}
    for one in (one for space in study.space.values() for one in space):
        if isinstance(one, Choice):
            told[f"{short(one.key)} one of {', '.join(map(str, one.options))}"] = None
        else:
            how = [what for what, so in (("log", one.log), ("whole", one.whole)) if so]
            how += [f"off at {one.off:g}"] if one.off is not None else []
            told[f"{short(one.key)} {one.low:g} to {one.high:g}" + (f" ({', '.join(how)})" if how else "")] = None
    return list(told)


def _span(seeds: Sequence[int]) -> str:
    if not seeds:
        return "none"
    whole = list(seeds) == list(range(seeds[0], seeds[-1] + 1)) and len(seeds) > 1
    return f"{seeds[0]} to {seeds[-1]}" if whole else ", ".join(map(str, seeds))


def _share(share: float) -> str:
    return f"1/{round(1 / share)}"
