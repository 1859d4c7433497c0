"""Tree-structured Parzen estimators, by Optuna; the Optuna study is rebuilt from the tracked trials for each proposal.

Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization".
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reglab.samplers.base import Observation, Sampler, register
from reglab.samplers.quasi_random import point
from reglab.schema.search_space import Dimension, Value, Values, optuna_distribution
from reglab.seeding import mix

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

STARTUP_TRIALS = 5  # from the quasi-random sequence


@register
class TPE(Sampler):
    """Sequential search, after a few quasi-random trials.

    The value that disables a method is outside of its search range: only the quasi-random trials propose it, and
    the estimator of a strength uses the trials in which it is on.
    """

    name = "tpe"
    sequential = True
    no_pruning = "tpe needs completed trials"
    no_exchangeability = "each trial depends on the ones before it"

    def propose(
        self, space: Sequence[Dimension], history: Sequence[Observation], *, seed: int, arm: str, minimize: bool
    ) -> Values:
        if len(history) < STARTUP_TRIALS:
            return point(seed, space, len(history))
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=mix(seed, arm, len(history)) % 2**32, n_startup_trials=0)
        study = optuna.create_study(sampler=sampler, direction="minimize" if minimize else "maximize")
        distributions = {dimension.key: optuna_distribution(dimension) for dimension in space}
        study.add_trials([_frozen_trial(observation, distributions) for observation in history])
        proposed = study.ask(distributions).params
        return {dimension.key: dimension.round(proposed[dimension.key]) for dimension in space}

    def describe(self, seed: int) -> str:
        return (
            f"Search: tree-structured Parzen estimators (search seed {seed}), after {STARTUP_TRIALS} trials of the "
            "quasi-random sequence that all strategies share."
        )


def _frozen_trial(observation: Observation, distributions: Mapping[str, "BaseDistribution"]) -> "FrozenTrial":
    """Return a tracked trial as Optuna's, with the values that are within the search ranges."""
    from optuna.trial import TrialState, create_trial

    values = observation.values
    params: dict[str, Any] = {key: value for key, value in values.items() if _contains(distributions[key], value)}
    return create_trial(
        params=params,
        distributions={key: distributions[key] for key in params},
        value=observation.score,
        state=TrialState.FAIL if observation.score is None else TrialState.COMPLETE,
    )


def _contains(distribution: "BaseDistribution", value: Value) -> bool:
    from optuna.distributions import CategoricalDistribution

    if isinstance(distribution, CategoricalDistribution):
        return True
    low, high = distribution.low, distribution.high  # type: ignore[attr-defined]  # of both numerical distributions
    return isinstance(value, int | float) and bool(low <= value <= high)
