"""Tree-structured Parzen estimators, by Optuna: asked anew for each trial, from those that are tracked."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reglab.schema.search_space import Dimension, Value, optuna_distribution
from reglab.seeding import mix
from reglab.study.search import quasi_random

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

STARTUP = 5  # trials before it, from the shared sequence


def values(
    seed: int,
    name: str,
    space: Sequence[Dimension],
    before: Sequence[tuple[Mapping[str, Value], float | None]],
    *,
    minimized: bool,
) -> dict[str, Value]:
    """The next point, a pure function of the seed and of the trials before it.

    Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization". Strengths that are off are no numbers of their
    range: they come in the first trials alone, and the estimator learns from those in which they are on.

    Args:
        seed: of the search.
        name: of the cell, which makes its draws its own.
        space: what is searched.
        before: values and score of each earlier trial; None where it failed.
        minimized: whether low scores are good.
    """
    if len(before) < STARTUP:
        return quasi_random.values(seed, space, len(before))
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=mix(seed, name, len(before)) % 2**32, n_startup_trials=0)
    study = optuna.create_study(sampler=sampler, direction="minimize" if minimized else "maximize")
    distributions = {one.key: optuna_distribution(one) for one in space}
    study.add_trials([_told(values, score, distributions) for values, score in before])
    asked = study.ask(distributions).params
    return {one.key: one.nearest(asked[one.key]) for one in space}


def _told(
    values: Mapping[str, Value], score: float | None, distributions: Mapping[str, "BaseDistribution"]
) -> "FrozenTrial":
    from optuna.trial import TrialState, create_trial

    known: dict[str, Any] = {key: value for key, value in values.items() if _holds(distributions[key], value)}
    return create_trial(
        params=known,
        distributions={key: distributions[key] for key in known},
        value=score,
        state=TrialState.FAIL if score is None else TrialState.COMPLETE,
    )


def _holds(distribution: "BaseDistribution", value: Value) -> bool:
    from optuna.distributions import CategoricalDistribution

    if isinstance(distribution, CategoricalDistribution):
        return True
    low, high = distribution.low, distribution.high  # type: ignore[attr-defined]  # of both kinds of numbers
    return isinstance(value, int | float) and bool(low <= value <= high)
