"""Tuning of one task: chosen trials and cost of each strategy, equal compute, and importances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reglab.report.arms import ArmTable
from reglab.report.findings.leaderboard import Entry
from reglab.report.question import Question
from reglab.report.records import finite_metric
from reglab.report.study_record import StudyRecord
from reglab.report.trials import Trial, best_trial, finished_trials, run_score
from reglab.schema.search_space import Choice, Dimension, Range, Value, optuna_distribution

TIME_TOLERANCE = 0.05  # timings of equal work differ by as much
MIN_TRIALS = 16  # for importances: with eight, a key that alone determines the score gets half on average
_TREES = 32


@dataclass(frozen=True)
class StrategyTuning:
    """The tuning of one strategy on one task.

    Attributes:
        strategy: as tagged.
        trials: by number.
        chosen: the trial that was run on fresh seeds; None if there is none.
        validation: mean selection metric over the fresh seeds.
        test: mean reported metric over the fresh seeds.
        optimism: by how much the best score of the tuning exceeds the test on fresh seeds; None if the two metrics
            measure different quantities.
    """

    strategy: str
    trials: Sequence[Trial]
    chosen: Trial | None
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
        strategy: as tagged.
        count: number of its first trials that fit into the budget.
        of: number of all its trials.
        best: the best of those that fit; None if none of them finished.
        differs: whether the whole tuning chose another trial.
    """

    strategy: str
    count: int
    of: int
    best: Trial | None
    differs: bool


@dataclass(frozen=True)
class TaskTuning:
    """The tuning of one task.

    Attributes:
        study: its definition.
        strategies: in the order of the leaderboard.
        equal_compute: seconds of the cheapest tuning, and what each strategy would have chosen in that time; None if
            trials are not exchangeable, or timings are unreliable.
        importances: by strategy, the share of each key; only for strategies with enough trials.
    """

    study: StudyRecord
    strategies: list[StrategyTuning]
    equal_compute: tuple[float, list[EqualComputeChoice]] | None
    importances: dict[str, dict[str, float]]

    @property
    def trials(self) -> list[Trial]:
        """The trials of all strategies."""
        return [trial for strategy in self.strategies for trial in strategy.trials]


def summarize_tuning(
    study: StudyRecord, trials: Sequence[Trial], entries: Sequence[Entry], table: ArmTable, question: Question
) -> list[StrategyTuning]:
    """Return the tuning of each strategy with trials, in the order of the leaderboard.

    Args:
        study: its definition.
        trials: of one task.
        entries: the leaderboard of the task.
        table: the arms of the task: its runs on fresh seeds.
        question: the reported metric.
    """
    by_strategy: dict[str, list[Trial]] = {}
    for trial in trials:
        by_strategy.setdefault(trial.strategy, []).append(trial)
    order = [entry.name for entry in entries if entry.name in by_strategy]
    return [
        _strategy_tuning(study, name, by_strategy[name], table, question)
        for name in dict.fromkeys([*order, *by_strategy])
    ]


def task_tuning(study: StudyRecord, strategies: list[StrategyTuning], *, reliable_timings: bool) -> TaskTuning:
    """Return the tuning of a task with equal compute and importances, where these can be computed."""
    tuned = {one.strategy: one.trials for one in strategies if study.is_tuned(one.strategy)}
    comparison = None
    if study.exchangeable and len(tuned) > 1 and reliable_timings:
        comparison = equal_compute(tuned, minimized=study.minimized)
    shares = {one.strategy: importances(study.space.get(one.strategy, ()), one.trials) for one in strategies}
    return TaskTuning(study, strategies, comparison, {name: own for name, own in shares.items() if own is not None})


def optimism(validation: float | None, test: float | None, select_by: str, question: Question) -> float | None:
    """Return by how much validation looks better than the test; None if they measure different quantities."""
    if validation is None or test is None or select_by.rsplit("/", 1)[-1] != question.metric.rsplit("/", 1)[-1]:
        return None
    return validation - test if question.higher else test - validation


def equal_compute(tuned: Mapping[str, Sequence[Trial]], *, minimized: bool) -> tuple[float, list[EqualComputeChoice]]:
    """Return the seconds of the cheapest tuning, and what each strategy would have chosen in 1.05 times these.

    Args:
        tuned: trials by strategy, each by number; at least one strategy.
        minimized: whether low scores are good.
    """
    budget = min(sum(trial.seconds for trial in trials) for trials in tuned.values())
    return budget, [_choice_within(name, trials, budget, minimized=minimized) for name, trials in tuned.items()]


def importances(space: Sequence[Dimension], trials: Sequence[Trial]) -> dict[str, float] | None:
    """Return the share of each key in the variance of the trials' ranks, by Optuna's fANOVA.

    Hutter, Hoos and Leyton-Brown 2014, "An Efficient Approach for Assessing Hyperparameter Importance". Ranks are used
    because a single failed trial would dominate the variance of scores. A strength at its off value is moved to the
    nearest end of its range.

    Args:
        space: what was searched.
        trials: of one strategy on one task.

    Returns:
        Shares that sum to 1, largest first; None for less than two keys, less than `MIN_TRIALS` trials with a score,
        or equal scores.
    """
    used = [trial for trial in finished_trials(trials) if all(one.key in trial.values for one in space)]
    if len(space) < 2 or len(used) < MIN_TRIALS or len({trial.score for trial in used}) < 2:
        return None
    # Imported here because only studies need Optuna, which takes half a second to load.
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from scipy.stats import rankdata

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    distributions = {one.key: optuna_distribution(one) for one in space}
    ranks = rankdata([trial.score for trial in used])
    for trial, rank in zip(used, ranks, strict=True):
        params = {one.key: _clip_to_range(one, trial.values[one.key]) for one in space}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=float(rank)))
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=_TREES, seed=0))
    return {key: float(share) for key, share in shares.items()}


def _strategy_tuning(
    study: StudyRecord, strategy: str, trials: Sequence[Trial], table: ArmTable, question: Question
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


def _choice_within(strategy: str, trials: Sequence[Trial], budget: float, *, minimized: bool) -> EqualComputeChoice:
    spent, count = 0.0, 0
    for trial in trials:
        spent += trial.seconds
        if spent > budget * (1 + TIME_TOLERANCE):
            break
        count += 1
    best, overall = best_trial(trials[:count], minimized=minimized), best_trial(trials, minimized=minimized)
    return EqualComputeChoice(strategy, count, len(trials), best, best is not overall)


def _clip_to_range(one: Dimension, value: Value) -> Value:
    if isinstance(one, Choice):
        return value
    assert isinstance(one, Range)
    assert isinstance(value, int | float)
    clipped = min(max(value, one.low), one.high)
    return int(clipped) if one.whole else clipped


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
