"""All findings of a report, computed from tracked runs: no files, no charts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from reglab.report.arms import (
    Arm,
    ArmTable,
    Selection,
    SplitDesign,
    check_pairing,
    group_runs,
    missing_replicates,
    select_arms,
    split_design,
)
from reglab.report.findings.caveats import comparison_caveats
from reglab.report.findings.headline import headline_notes, overall_headline, task_headline
from reglab.report.findings.interactions import Interaction, find_interactions
from reglab.report.findings.leaderboard import (
    DetectableDifference,
    Entry,
    baseline_arm,
    detectable_differences,
    task_leaderboard,
)
from reglab.report.findings.overall import data_set_comparison, overall_caveats, overall_leaderboard
from reglab.report.findings.tuning import TaskTuning, summarize_tuning, task_tuning, timing_caveats, tuning_caveats
from reglab.report.number_format import MISSING
from reglab.report.question import Question
from reglab.report.records import ReportTask, RunRecord, data_set_names, numeric_order, split_into_tasks, task_key
from reglab.report.run_filter import Failure, FilteredRuns, filter_runs
from reglab.report.statistics.data_sets import DataSetComparison
from reglab.report.trials import StudyRecord, collect_trials
from reglab.schema.text import join_names


@dataclass(frozen=True)
class TaskFindings:
    """The findings of one task.

    Attributes:
        task: the task with its runs.
        table: arms of the task.
        selection: the arms that represent their strategies.
        splits: how splits vary over seeds.
        entries: the leaderboard, best first.
        baseline: the arm that others are compared with; None if it has no run.
        headline: a sentence.
        caveats: sentences.
        methods: sentences on splits and pairs.
        detectable: minimum detectable differences.
        interactions: interactions of the combinations whose parts were run.
        tuning: tuning results of a study, else None.
    """

    task: ReportTask
    table: ArmTable
    selection: Selection
    splits: SplitDesign
    entries: list[Entry]
    baseline: Arm | None
    headline: str
    caveats: list[str]
    methods: list[str]
    detectable: list[DetectableDifference]
    interactions: list[Interaction]
    tuning: TaskTuning | None = None

    @property
    def strategies(self) -> list[str]:
        """All strategies, including those of which no trial could be chosen; with repetitions."""
        tuned = self.tuning.strategies if self.tuning is not None else []
        return [*(arm.strategy for arm in self.table.arms), *(strategy_tuning.strategy for strategy_tuning in tuned)]


@dataclass(frozen=True)
class Findings:
    """The findings of a report.

    Attributes:
        question: metric, direction, baseline and selection metric.
        tasks: one or more; empty if no run can be compared.
        overall: the leaderboard over tasks; None for a single task.
        answer: a sentence.
        notes: sentences that qualify the answer: how strengths were selected, what failed.
        failures: runs without a value.
        overall_caveats: caveats of the overall leaderboard.
        exclusions: sentences on runs that were left out.
        missing: labels of declared runs that were never run.
        over_data_sets: tests of all strategies over data sets, or why there are none; None for a single task.
    """

    question: Question
    tasks: list[TaskFindings]
    overall: list[Entry] | None
    answer: str
    notes: str
    failures: list[Failure]
    overall_caveats: list[str] = field(default_factory=list)
    exclusions: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    over_data_sets: DataSetComparison | str | None = None

    @property
    def headline(self) -> str:
        """The answer with its notes."""
        return f"{self.answer} {self.notes}".strip()

    @property
    def entries(self) -> list[Entry]:
        """The leaderboard that answers the question: the overall one, or that of the only task."""
        return self.overall if self.overall is not None else self.tasks[0].entries if self.tasks else []

    @property
    def runs(self) -> int:
        """Number of compared runs."""
        return sum(len(task_findings.table.records) for task_findings in self.tasks)


def compute_findings(
    records: Sequence[RunRecord], question: Question, missing: Sequence[str] = (), study: StudyRecord | None = None
) -> Findings:
    """Return the findings of some runs: filter them, split them into tasks, select strengths, compare.

    Args:
        records: tracked runs.
        question: what is compared.
        missing: labels of declared runs that were never run.
        study: definition of the study that the runs belong to, if any.
    """
    filtered = filter_runs(records, question.metric)
    tasks = _comparable_tasks(split_into_tasks(filtered.records), filtered)
    all_task_findings = []
    for task in tasks:
        # Runs that failed early may lack their setting: they are assigned to the only task of their data set.
        is_only = sum(other.data == task.data for other in tasks) == 1
        failures = [f for f in filtered.failures if task_key(f.record) == task.key or (is_only and f.data == task.data)]
        task_findings = _task_findings(task, failures, question)
        all_task_findings.append(
            task_findings if study is None else _add_tuning(task_findings, study, records, question)
        )
    boards, data_sets = [task_findings.entries for task_findings in all_task_findings], data_set_names(tasks)
    overall, caveats, over_data_sets = None, [], None
    if len(all_task_findings) > 1:
        overall = overall_leaderboard(boards, question, data_sets)
        caveats = overall_caveats(overall, data_sets)
        over_data_sets = data_set_comparison(boards, data_sets, overall, question)
        answer = overall_headline(overall, question, boards, len(set(data_sets)))
    else:
        answer = (
            all_task_findings[0].headline
            if all_task_findings
            else f"No finished run has {question.metric}: nothing can be compared."
        )
    without_choice = [
        f"{tuned.strategy} on {task_findings.task.name}"
        for task_findings in all_task_findings
        if task_findings.tuning
        for tuned in task_findings.tuning.strategies
        if tuned.without_choice
    ]
    selections = [task_findings.selection for task_findings in all_task_findings]
    return Findings(
        question,
        all_task_findings,
        overall,
        answer,
        notes=headline_notes(question, filtered.failures, selections, len(missing), without_choice),
        failures=filtered.failures,
        overall_caveats=caveats,
        exclusions=filtered.exclusions,
        missing=list(missing),
        over_data_sets=over_data_sets,
    )


def _comparable_tasks(tasks: Sequence[ReportTask], filtered: FilteredRuns) -> list[ReportTask]:
    """Return the tasks with two strategies or more and exclude the others; all tasks if none has."""
    strategies = {task.key: {record.tags["strategy"] for record in task.records} for task in tasks}
    for failure in filtered.failures:  # a strategy that failed counts
        for key in strategies:
            if key == task_key(failure.record) or key[0] == failure.data:
                strategies[key].add(failure.strategy)
    comparable = [task for task in tasks if len(strategies[task.key]) > 1]
    if not comparable:
        return list(tasks)
    for task in tasks:
        if task not in comparable:
            count = len(task.records)
            filtered.exclusions.append(
                f"{count} {'run was' if count == 1 else 'runs were'} left out: on {task.name} only "
                f"{task.records[0].tags['strategy']} was run, and there is nothing to compare it with."
            )
    return comparable


def _task_findings(task: ReportTask, failures: Sequence[Failure], question: Question) -> TaskFindings:
    table = group_runs(task.records, failures)
    selection = select_arms(table, question)
    splits = split_design(table)
    entries = task_leaderboard(table, selection, question, splits.overlap)
    proven, unproven = check_pairing(table)
    methods = [splits.description]
    if proven:
        methods.append(f"Pairs share {join_names(proven)}: the hashes are equal across strategies for every seed.")
    return TaskFindings(
        task,
        table,
        selection,
        splits,
        entries,
        baseline_arm(table, selection, question),
        task_headline(entries, question, task.name),
        caveats=[
            *unproven,
            *([splits.caveat] if splits.caveat else []),
            *table.duplicates,
            *missing_replicates(table),
            *comparison_caveats(entries, table, selection, question),
        ],
        methods=methods,
        detectable=detectable_differences(entries, splits.overlap),
        interactions=find_interactions(table, selection, question, splits.overlap),
    )


def _add_tuning(
    task_findings: TaskFindings, study: StudyRecord, records: Sequence[RunRecord], question: Question
) -> TaskFindings:
    """Return the findings with the tuning of the task and its caveats; unchanged if it has no trials."""
    name = study.task_name(*task_findings.task.key)
    trials = [trial for trial in collect_trials(study, records, question.metric) if trial.task == name]
    if not trials:
        return task_findings
    strategies = summarize_tuning(study, trials, task_findings.entries, task_findings.table, question)
    timings = timing_caveats(task_findings.entries, strategies, study)
    tuning = task_tuning(study, strategies, reliable_timings=not timings)
    return replace(
        task_findings, tuning=tuning, caveats=[*task_findings.caveats, *tuning_caveats(strategies, study), *timings]
    )


@dataclass(frozen=True)
class FailedRun:
    """A run without a result: its arm or trial, data set, seed, outcome (``diverged at step 40``) and id."""

    label: str
    data: str
    seed: str
    outcome: str
    run_id: str


@dataclass(frozen=True)
class StrategyFailures:
    """Number of runs of a strategy, without those of the tuning, and of failures by outcome."""

    strategy: str
    runs: int
    failed: Mapping[str, int]


def failed_runs(findings: Findings) -> list[FailedRun]:
    """Return all runs without a result, including those of the tuning, sorted by label, data set and seed."""
    tables = {task_findings.task.data: task_findings.table for task_findings in findings.tasks}
    failed = [
        FailedRun(
            tables[failure.data].label(failure.record) if failure.data in tables else failure.strategy,
            failure.data,
            failure.seed,
            failure.outcome,
            failure.record.run_id,
        )
        for failure in findings.failures
    ]
    failed += [
        FailedRun(
            f"{trial.strategy}, tuning trial {trial.number}",
            task_findings.task.data,
            failure.record.tags.get("seed", MISSING),
            failure.outcome,
            failure.record.run_id,
        )
        for task_findings in findings.tasks
        if task_findings.tuning is not None
        for trial in task_findings.tuning.trials
        for failure in trial.failures
    ]
    return sorted(failed, key=lambda run: (run.label, run.data, numeric_order(run.seed)))


def failures_by_strategy(findings: Findings) -> list[StrategyFailures]:
    """Return the failures of each strategy by outcome; empty if no run failed. Tuning runs are not counted."""
    counts = Counter((failure.strategy, failure.outcome_kind) for failure in findings.failures)
    if not counts:
        return []
    compared = Counter(
        arm.strategy for task_findings in findings.tasks for arm in task_findings.table.arms for _ in arm.runs
    )
    failed = Counter(failure.strategy for failure in findings.failures)
    outcomes = sorted({outcome for _, outcome in counts})
    return [
        StrategyFailures(
            strategy,
            compared[strategy] + failed[strategy],
            {outcome: counts[strategy, outcome] for outcome in outcomes},
        )
        for strategy in sorted({*compared, *failed})
    ]
