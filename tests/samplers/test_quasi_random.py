"""The shared quasi-random sequence: evenly spread for each key and number of trials, and stable between versions."""

import numpy as np
import pytest
from scipy.stats import qmc

from reglab.samplers.quasi_random import uniform

KEYS = ("optimizer.lr", "regularizer.dropout.p", "regularizer.l2.strength")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("count", [2**k for k in range(10)])
def test_each_interval_has_one_of_the_first_numbers(key: str, count: int) -> None:
    parts = sorted(int(uniform(7, key, index) * count) for index in range(count))
    assert parts == list(range(count))


def test_numbers_do_not_change_between_versions() -> None:
    """Tracked trials must be found by later versions."""
    drawn = [uniform(0, "optimizer.lr", index) for index in range(4)]
    assert drawn == [0.5622175238095224, 0.16195917886216193, 0.4069602938252501, 0.9944782460806891]


def test_keys_and_seeds_have_different_sequences() -> None:
    numbers = {tuple(uniform(seed, key, i) for i in range(8)) for seed in (0, 1) for key in KEYS}
    assert len(numbers) == 6


def test_several_keys_together_are_spread_far_better_than_at_random() -> None:
    def of_search(seed: int) -> float:
        return qmc.discrepancy(np.array([[uniform(seed, key, i) for key in KEYS[:2]] for i in range(16)]))

    def at_random(seed: int) -> float:
        return qmc.discrepancy(np.random.default_rng(seed).random((16, 2)))

    seeds = range(50)
    assert np.mean([of_search(s) for s in seeds]) < 0.25 * np.mean([at_random(s) for s in seeds])


def test_keys_are_not_correlated() -> None:
    first, second = ([uniform(3, key, i) for i in range(1024)] for key in KEYS[:2])
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1  # three standard errors of 1024 independent pairs
