"""Tuning of one task: chosen trials and cost of each strategy, equal compute, and importances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from reglab.report.arms import ArmTable
from reglab.report.findings.leaderboard import Entry
from reglab.report.number_format import format_seconds
from reglab.report.question import Question
from reglab.report.records import finite_metric
from reglab.report.trials import NO_SCORE, StudyRecord, TrialSummary, best_trial, finished_trials, run_score, short_key
from reglab.schema.search_space import Choice, Dimension, Range, Value, optuna_distribution

TIME_TOLERANCE = 0.05  # timings of equal work differ by as much
MIN_TRIALS = 16  # for importances: with 8, a key that alone determines the score has an importance of half on average
_TREES = 32
MAX_SLOWDOWN = 2.0  # ratio between strategies; different seeds, and the first run of a process, account for less
MAX_TRIAL_TIME = 20.0  # ratio to the median that neither searched values nor early stopping explain
_NOT_COMPARABLE = "Training times of the strategies are not comparable, and equal compute is not shown."


@dataclass(frozen=True)
class StrategyTuning:
    """The tuning of one strategy on one task.

    Attributes:
        strategy: value of the tag `strategy`.
        trials: trials in the order of their numbers.
        chosen: the trial that was run on fresh seeds; None if there is none.
        validation: mean selection metric over the fresh seeds.
        test: mean reported metric over the fresh seeds.
        optimism: by how much the best score of the tuning exceeds the test on fresh seeds; None if the two metrics
            measure different quantities.
    """

    strategy: str
    trials: Sequence[TrialSummary]
    chosen: TrialSummary | None
    validation: float | None
    test: float | None
    optimism: float | None

    @property
    def runs(self) -> int:
        """Number of trained runs."""
        return sum(trial.runs for trial in self.trials)

    @property
    def seconds(self) -> float:
        """Training time over all runs."""
        return sum(trial.seconds for trial in self.trials)

    @property
    def run_seconds(self) -> float | None:
        """Mean training time of a run."""
        return self.seconds / self.runs if self.runs else None

    @property
    def started(self) -> int:
        """Number of trials with at least one run."""
        return sum(trial.runs > 0 for trial in self.trials)

    @property
    def without_choice(self) -> bool:
        """Whether all trials are over, and none could be chosen."""
        return self.chosen is None and self.count("not done") == 0

    def count(self, status: str) -> int:
        """Return the number of trials with a status."""
        return sum(trial.status == status for trial in self.trials)


@dataclass(frozen=True)
class EqualComputeChoice:
    """The choice of one strategy's tuning within a time budget.

    Attributes:
        strategy: value of the tag `strategy`.
        count: number of its first trials that fit in the budget.
        total_trials: number of all its trials.
        best: the best of those that fit; None if none of them finished.
        differs: whether the whole tuning chose another trial.
    """

    strategy: str
    count: int
    total_trials: int
    best: TrialSummary | None
    differs: bool


@dataclass(frozen=True)
class TaskTuning:
    """The tuning of one task.

    Attributes:
        study: definition of the study.
        strategies: in the order of the leaderboard.
        equal_compute: seconds of the cheapest tuning, and what each strategy would have chosen in that time; None if
            trials are not exchangeable, or timings are unreliable.
        importances: importance of each key, by strategy; only for strategies with enough trials.
    """

    study: StudyRecord
    strategies: list[StrategyTuning]
    equal_compute: tuple[float, list[EqualComputeChoice]] | None
    importances: dict[str, dict[str, float]]

    @property
    def trials(self) -> list[TrialSummary]:
        """The trials of all strategies."""
        return [trial for strategy in self.strategies for trial in strategy.trials]


def summarize_tuning(
    study: StudyRecord, trials: Sequence[TrialSummary], entries: Sequence[Entry], table: ArmTable, question: Question
) -> list[StrategyTuning]:
    """Return the tuning of each strategy with trials, in the order of the leaderboard.

    Args:
        study: definition of the study.
        trials: trials of one task.
        entries: the leaderboard of the task.
        table: the arms of the task: its runs on fresh seeds.
        question: the reported metric.
    """
    by_strategy: dict[str, list[TrialSummary]] = {}
    for trial in trials:
        by_strategy.setdefault(trial.strategy, []).append(trial)
    order = [entry.strategy for entry in entries if entry.strategy in by_strategy]
    return [
        _strategy_tuning(study, name, by_strategy[name], table, question)
        for name in dict.fromkeys([*order, *by_strategy])
    ]


def task_tuning(study: StudyRecord, strategies: list[StrategyTuning], *, reliable_timings: bool) -> TaskTuning:
    """Return the tuning of a task with equal compute and importances, where these can be computed."""
    tuned = {strategy.strategy: strategy.trials for strategy in strategies if study.is_tuned(strategy.strategy)}
    compute_comparison = None
    if study.exchangeable and len(tuned) > 1 and reliable_timings:
        compute_comparison = equal_compute(tuned, minimized=study.minimized)
    shares = {
        strategy.strategy: importances(study.space.get(strategy.strategy, ()), strategy.trials)
        for strategy in strategies
    }
    return TaskTuning(
        study, strategies, compute_comparison, {name: by_key for name, by_key in shares.items() if by_key is not None}
    )


def optimism(validation: float | None, test: float | None, select_by: str, question: Question) -> float | None:
    """Return the amount by which validation is better than the test; None if they measure different quantities."""
    if validation is None or test is None or select_by.rsplit("/", 1)[-1] != question.metric.rsplit("/", 1)[-1]:
        return None
    return validation - test if question.higher else test - validation


def equal_compute(
    tuned: Mapping[str, Sequence[TrialSummary]], *, minimized: bool
) -> tuple[float, list[EqualComputeChoice]]:
    """Return the seconds of the cheapest tuning, and what each strategy would have chosen in 1.05 times these.

    Args:
        tuned: trials by strategy, each by number; at least one strategy.
        minimized: whether low scores are good.
    """
    budget = min(sum(trial.seconds for trial in trials) for trials in tuned.values())
    return budget, [_choice_within(name, trials, budget, minimized=minimized) for name, trials in tuned.items()]


def importances(space: Sequence[Dimension], trials: Sequence[TrialSummary]) -> dict[str, float] | None:
    """Return the share of each key in the variance of the trials' ranks, by Optuna's fANOVA.

    Hutter, Hoos and Leyton-Brown 2014, "An Efficient Approach for Assessing Hyperparameter Importance". Ranks are used
    because a single failed trial would dominate the variance of scores. A strength at its off value is moved to the
    nearest end of its range.

    Args:
        space: the search space.
        trials: trials of one strategy on one task.

    Returns:
        Shares that sum to 1, largest first; None for less than two keys, less than `MIN_TRIALS` trials with a score,
        or equal scores.
    """
    scored = [trial for trial in finished_trials(trials) if all(dimension.key in trial.values for dimension in space)]
    if len(space) < 2 or len(scored) < MIN_TRIALS or len({trial.score for trial in scored}) < 2:
        return None
    # Imported here because only studies need Optuna, which takes half a second to load.
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from scipy.stats import rankdata

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    distributions = {dimension.key: optuna_distribution(dimension) for dimension in space}
    ranks = rankdata([trial.score for trial in scored])
    for trial, rank in zip(scored, ranks, strict=True):
        params = {dimension.key: _clip_to_range(dimension, trial.values[dimension.key]) for dimension in space}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=float(rank)))
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=_TREES, seed=0))
    return {key: float(share) for key, share in shares.items()}


def _strategy_tuning(
    study: StudyRecord, strategy: str, trials: Sequence[TrialSummary], table: ArmTable, question: Question
) -> StrategyTuning:
    records = [record for arm in table.arms if arm.strategy == strategy for record in arm.runs.values()]
    test = _mean([finite_metric(record, question.metric) for record in records])
    chosen = next((trial for trial in trials if trial.chosen), None)
    return StrategyTuning(
        strategy,
        trials,
        chosen,
        validation=_mean([run_score(study, record) for record in records]),
        test=test,
        optimism=optimism(chosen.score if chosen else None, test, study.select_by[0], question),
    )


def _choice_within(
    strategy: str, trials: Sequence[TrialSummary], budget: float, *, minimized: bool
) -> EqualComputeChoice:
    spent, count = 0.0, 0
    for trial in trials:
        spent += trial.seconds
        if spent > budget * (1 + TIME_TOLERANCE):
            break
        count += 1
    best, overall = best_trial(trials[:count], minimized=minimized), best_trial(trials, minimized=minimized)
    return EqualComputeChoice(strategy, count, len(trials), best, best is not overall)


def _clip_to_range(dimension: Dimension, value: Value) -> Value:
    if isinstance(dimension, Choice):
        return value
    assert isinstance(dimension, Range)
    assert isinstance(value, int | float)
    clipped = min(max(value, dimension.low), dimension.high)
    return int(clipped) if dimension.whole else clipped


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def tuning_caveats(strategies: Sequence[StrategyTuning], study: StudyRecord) -> list[str]:
    """Return the caveats on budgets, failed trials and values at the edge of a range."""
    return [*unequal_budgets(strategies, study), *_failed_trials(strategies), *_values_at_edges(strategies, study)]


def timing_caveats(entries: Sequence[Entry], strategies: Sequence[StrategyTuning], study: StudyRecord) -> list[str]:
    """Return caveats if other processes on the machine changed the measured training times.

    Args:
        entries: the leaderboard of the task: training times on fresh seeds.
        strategies: the tuning of the task.
        study: definition of the study; with pruning, trainings have different lengths and nothing is reported.
    """
    if study.pruning is not None:
        return []
    return [f"{text} {_NOT_COMPARABLE}" for text in (*_unequal_slowdown(entries, strategies), *_stalled(strategies))]


def unequal_budgets(strategies: Sequence[StrategyTuning], study: StudyRecord) -> list[str]:
    """Return a caveat if tuned strategies have different numbers of trials; one without a search space has one."""
    tuned = [strategy for strategy in strategies if study.is_tuned(strategy.strategy)]
    counts = {strategy.strategy: strategy.started for strategy in tuned}
    if len(set(counts.values())) < 2:
        return []
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    caveat = f"Unequal tuning budgets: the strategies have different numbers of trials ({listed})."
    stopped_early = [
        strategy.strategy
        for strategy in tuned
        if study.max_seconds and strategy.seconds >= study.max_seconds and strategy.started < study.trials
    ]
    if stopped_early:
        caveat += f" study.max_seconds={study.max_seconds:g} ended the tuning of {', '.join(stopped_early)}."
    return [caveat]


def edge_of_range(dimension: Dimension, value: Value) -> str | None:
    """Return ``low`` or ``high`` if a value is at that end of its range; None if the end is the off value."""
    if isinstance(dimension, Choice) or value == dimension.off:
        return None
    end = dimension.edge(value)
    return None if end is not None and getattr(dimension, end) == dimension.off else end


def _failed_trials(strategies: Sequence[StrategyTuning]) -> list[str]:
    caveats = []
    for strategy in strategies:
        failed: Mapping[str, int] = {status: strategy.count(status) for status in NO_SCORE}
        listed = [f"{count} {status}" for status, count in failed.items() if count]
        if listed:
            count = f"{sum(failed.values())} of {len(strategy.trials)} trials"
            consequence = (
                "" if strategy.chosen else "; none was chosen, and the strategy is missing from the leaderboard"
            )
            caveats.append(f"{strategy.strategy}: {count} without a score ({', '.join(listed)}){consequence}.")
    return caveats


def _values_at_edges(strategies: Sequence[StrategyTuning], study: StudyRecord) -> list[str]:
    caveats = []
    for strategy in strategies:
        for dimension in study.space.get(strategy.strategy, ()):
            value = strategy.chosen.values.get(dimension.key) if strategy.chosen else None
            if isinstance(dimension, Range) and value is not None and (end := edge_of_range(dimension, value)):
                where = f"{short_key(dimension.key)}={value:g}, searched from {dimension.low:g} to {dimension.high:g}"
                remedy = f"{'lower' if end == 'low' else 'raise'} study.space.{dimension.key}.{end}"
                caveat = f"{strategy.strategy}: the chosen value is at the edge of its range ({where}); {remedy}."
                if strategy.strategy == study.baseline:
                    caveat += " A better baseline beyond the edge would reduce every difference."
                caveats.append(caveat)
    return caveats


def _unequal_slowdown(entries: Sequence[Entry], strategies: Sequence[StrategyTuning]) -> list[str]:
    """Return a caveat if the ratio of training time on fresh seeds to that in tuning differs between strategies."""
    fresh = {entry.strategy: entry.seconds for entry in entries if entry.chosen and entry.seconds}
    tuned = {
        strategy.strategy: strategy.chosen.seconds / strategy.chosen.runs
        for strategy in strategies
        if strategy.chosen and strategy.chosen.runs
    }
    ratios = {name: fresh[name] / seconds for name, seconds in tuned.items() if seconds and name in fresh}
    if len(ratios) < 2 or max(ratios.values()) <= MAX_SLOWDOWN * min(ratios.values()):
        return []
    listed = [
        f"{name} {format_seconds(tuned[name])} s in tuning and {format_seconds(fresh[name])} s on fresh seeds"
        for name in (min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__))
    ]
    return [
        "Unreliable timings: other processes slowed training down. A run of the chosen trial took: "
        f"{'; '.join(listed)}."
    ]


def _stalled(strategies: Sequence[StrategyTuning]) -> list[str]:
    """Return a caveat if a trial took so much longer than others of its strategy that its process was suspended."""
    stalled = []
    for strategy in strategies:
        times = [trial.seconds / trial.runs for trial in strategy.trials if trial.runs and trial.seconds]
        if times and max(times) > MAX_TRIAL_TIME * median(times):
            stalled.append(
                f"{strategy.strategy} {format_seconds(max(times))} s, median {format_seconds(median(times))} s"
            )
    return (
        [f"Unreliable timings: single trials took much longer than others ({'; '.join(stalled)})."] if stalled else []
    )
