"""Records in, everything a report says out: pure, no files, no charts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from reglab.report import headline
from reglab.report.arms import Grid, Row, grid
from reglab.report.interactions import Interaction, interactions
from reglab.report.leaderboard import Line, baseline_row, of_task
from reglab.report.many_tasks import ManyTasks
from reglab.report.not_seen import NotSeen, not_seen
from reglab.report.overall import cautions, over_data_sets, overall
from reglab.report.question import Question
from reglab.report.records import Record
from reglab.report.run_filter import Failure, FilteredRuns, filter_runs
from reglab.report.select import Choice, choose
from reglab.report.splits import Splits, missing_cells, proofs, splits
from reglab.report.study_record import StudyRecord
from reglab.report.tasks import Task, data_sets, key_of, split
from reglab.report.tuning import TaskTuning, with_tuning
from reglab.report.weaknesses import made_by_the_stop, unclaimed, untold
from reglab.wording import join_names


@dataclass(frozen=True)
class TaskFindings:
    """The findings of one task. `lines` is its leaderboard; `weaknesses` and `how` are sentences.

    `not_seen` holds the rows that stand for their strategies, `interactions` the combinations whose parts were run;
    `tuning` is a study's.
    """

    task: Task
    grid: Grid
    choice: Choice
    splits: Splits
    lines: list[Line]
    baseline: Row | None
    headline: str
    weaknesses: list[str]
    how: list[str]
    not_seen: list[NotSeen]
    interactions: list[Interaction]
    tuning: TaskTuning | None = None

    @property
    def strategies(self) -> list[str]:
        """All that were tried, those included of which no trial could be chosen."""
        tuned = self.tuning.budgets if self.tuning is not None else []
        return [*(row.strategy for row in self.grid.rows), *(row.strategy for row in tuned)]


@dataclass(frozen=True)
class Findings:
    """All that is said: by task, over tasks (`overall` is None for one), what failed and what was never run.

    `cautions` weaken the overall leaderboard; `many` tests all strategies over data sets, or says why nothing can.
    """

    question: Question
    tasks: list[TaskFindings]
    overall: list[Line] | None
    answer: str
    remarks: str
    failures: list[Failure]
    cautions: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    many: ManyTasks | str | None = None

    @property
    def headline(self) -> str:
        """The answer, with what it must not hide."""
        return f"{self.answer} {self.remarks}".strip()

    @property
    def lines(self) -> list[Line]:
        """The leaderboard that answers the question: the overall one, or the only task's."""
        return self.overall if self.overall is not None else self.tasks[0].lines if self.tasks else []

    @property
    def runs(self) -> int:
        """How many runs count."""
        return sum(len(row.runs) for found in self.tasks for row in found.grid.rows)


def find(
    records: Sequence[Record], question: Question, absent: Sequence[str] = (), study: StudyRecord | None = None
) -> Findings:
    """Count, split into tasks, choose, compare, and say what it comes to.

    Args:
        absent: what was declared and never run.
        study: what was declared of the tuning, where the runs are a study's.
    """
    counted = filter_runs(records, question.metric)
    tasks = _comparable(split(counted.records), counted)
    found = []
    for task in tasks:
        # What failed early may lack its setting: in the only task of its data set it is told all the same.
        alone = sum(other.data == task.data for other in tasks) == 1
        failures = [f for f in counted.failures if key_of(f.record) == task.key or (alone and f.data == task.data)]
        one = _of_task(task, failures, question)
        found.append(one if study is None else with_tuning(one, study, records, question))
    data = data_sets(tasks)
    board = overall([f.lines for f in found], question, data) if len(found) > 1 else None
    weak, many = [], None
    if board is not None:
        weak = cautions(board, data)
        many = over_data_sets([f.lines for f in found], data, board, question)
        sentence = headline.over_tasks(board, question, [f.lines for f in found], len(set(data)))
    else:
        sentence = found[0].headline if found else f"No finished run has {question.metric}: nothing can be compared."
    lost = [f"{row.strategy} on {f.task.name}" for f in found if f.tuning for row in f.tuning.budgets if row.lost]
    remarks = headline.warnings(question, counted.failures, [f.choice for f in found], len(absent), lost)
    return Findings(
        question, found, board, sentence, remarks, counted.failures, weak, counted.left_out, list(absent), many
    )


def _comparable(tasks: Sequence[Task], counted: FilteredRuns) -> list[Task]:
    """The tasks on which there is something to compare; of none but one strategy each, all of them."""
    tried = {task.key: {record.tags["strategy"] for record in task.records} for task in tasks}
    for failure in counted.failures:  # what was tried and failed is to be told
        for key in tried:
            if key == key_of(failure.record) or key[0] == failure.data:
                tried[key].add(failure.strategy)
    several = [task for task in tasks if len(tried[task.key]) > 1]
    if not several:
        return list(tasks)
    for task in tasks:
        if task not in several:
            count = len(task.records)
            counted.left_out.append(
                f"{count} {'run was' if count == 1 else 'runs were'} left out: on {task.name} only "
                f"{task.records[0].tags['strategy']} was run, and there is nothing to compare it with."
            )
    return several


def _of_task(task: Task, failures: Sequence[Failure], question: Question) -> TaskFindings:
    table = grid(task.records, failures)
    choice = choose(table, question)
    how_split = splits(table)
    lines = of_task(table, choice, question, how_split.overlap)
    proven, weak = proofs(table)
    if how_split.weakness:
        weak.append(how_split.weakness)
    weak += [*table.doubles, *missing_cells(table), *untold(choice, table, question), *unclaimed(lines)]
    weak += made_by_the_stop(lines, table, question)
    how = [how_split.how]
    if proven:
        how.append(f"Pairs share {join_names(proven)}: the hashes are equal across strategies for every seed.")
    base = baseline_row(table, choice, question)
    return TaskFindings(
        task,
        table,
        choice,
        how_split,
        lines,
        base,
        headline.of_task(lines, question, task.name),
        weak,
        how,
        not_seen(lines, how_split.overlap),
        interactions(table, choice, question, how_split.overlap),
    )
