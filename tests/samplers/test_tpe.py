"""Tree-structured Parzen estimators: reproducible from earlier trials, and better than random search."""

import math
from collections.abc import Sequence

import pytest

from reglab.samplers.base import Observation
from reglab.samplers.quasi_random import point
from reglab.samplers.tpe import STARTUP_TRIALS, TPE
from reglab.schema.search_space import Choice, Range, Values

SPACE = (Range("lr", 1e-5, 1e-1, log=True), Range("p", 0.0, 0.9, off=0.0), Choice("kind", ("a", "b")),
         Range("k", 1, 9, whole=True))  # fmt: skip


def loss(values: Values) -> float:
    return (
        (math.log10(float(values["lr"] or 0)) + 3) ** 2 + (float(values["p"] or 0) - 0.4) ** 2 + (values["kind"] == "b")
    )


def propose(history: Sequence[Observation], seed: int, arm: str = "arm", minimize: bool = True) -> Values:
    return TPE().propose(SPACE, history, seed=seed, arm=arm, minimize=minimize)


def search(seed: int, trials: int, minimized: bool = True) -> list[Observation]:
    observed: list[Observation] = []
    for _ in range(trials):
        proposed = propose(observed, seed, minimize=minimized)
        observed.append(Observation(proposed, loss(proposed) if minimized else -loss(proposed)))
    return observed


def test_a_resumed_search_equals_an_uninterrupted_one() -> None:
    uninterrupted = search(0, 12)
    assert propose(uninterrupted[:9], 0) == uninterrupted[9][0]
    assert propose(uninterrupted[:9], 1) != uninterrupted[9][0]
    assert propose(uninterrupted[:9], 0, "other") != uninterrupted[9][0]


def test_the_first_trials_are_those_of_the_shared_sequence() -> None:
    first = [values for values, _ in search(0, STARTUP_TRIALS)]
    assert first == [point(0, SPACE, index) for index in range(STARTUP_TRIALS)]


@pytest.mark.slow
@pytest.mark.parametrize("minimized", [True, False])
def test_it_finds_better_points_than_the_sequence(minimized: bool) -> None:
    def best(seed: int) -> float:
        return min(loss(values) for values, _ in search(seed, 24, minimized))

    def best_of_sequence(seed: int) -> float:
        return min(loss(point(seed, SPACE, index)) for index in range(24))

    seeds = range(6)
    assert sum(map(best, seeds)) < 0.7 * sum(map(best_of_sequence, seeds))


def test_values_are_in_their_ranges_with_failed_trials() -> None:
    observed = [Observation(values, None if i % 3 == 0 else score) for i, (values, score) in enumerate(search(3, 10))]
    proposed = propose(observed, 3)
    assert 1e-5 <= float(proposed["lr"] or 0) <= 1e-1
    assert 0.0 <= float(proposed["p"] or 0) <= 0.9
    assert proposed["kind"] in ("a", "b")
    assert isinstance(proposed["k"], int)
    assert 1 <= proposed["k"] <= 9
