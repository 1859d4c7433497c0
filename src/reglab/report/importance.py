"""How much of the difference among trials each searched key explains."""

from collections.abc import Sequence

from reglab.report.trials import Trial, finished
from reglab.schema.search_space import Choice, Dimension, Range, Value, optuna_distribution

LEAST = 16  # trials: of eight, a key that alone moves the score gets no more than half on average
_TREES = 32


def importances(space: Sequence[Dimension], trials: Sequence[Trial]) -> dict[str, float] | None:
    """The share of each key in the variance of the trials' ranks, by Optuna's fANOVA; shares sum to 1, largest first.

    Hutter, Hoos and Leyton-Brown 2014, "An Efficient Approach for Assessing Hyperparameter Importance". Ranks, since
    one trial that went wrong altogether would be most of the variance of the scores themselves. A strength that is off
    counts as the end of its range that is next to it.

    Args:
        space: what was searched.
        trials: of one strategy on one task.

    Returns:
        None for less than two keys, less than `LEAST` trials with a score, or scores that are all the same.
    """
    told = [trial for trial in finished(trials) if all(one.key in trial.values for one in space)]
    if len(space) < 2 or len(told) < LEAST or len({trial.score for trial in told}) < 2:
        return None
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from scipy.stats import rankdata

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    distributions = {one.key: optuna_distribution(one) for one in space}
    ranks = rankdata([trial.score for trial in told])
    for trial, rank in zip(told, ranks, strict=True):
        params = {one.key: _within(one, trial.values[one.key]) for one in space}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=float(rank)))
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=_TREES, seed=0))
    return {key: float(share) for key, share in found.items()}


def _within(one: Dimension, value: Value) -> Value:
    if isinstance(one, Choice):
        return value
    assert isinstance(one, Range)
    assert isinstance(value, int | float)
    inside = min(max(value, one.low), one.high)
    return int(inside) if one.whole else inside
