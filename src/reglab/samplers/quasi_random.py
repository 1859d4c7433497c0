"""Quasi-random search: each key has its low-discrepancy sequence, the same in every search space."""

import functools
from collections.abc import Sequence

from reglab.samplers.base import Observation, Sampler, register
from reglab.schema.search_space import Dimension, Values
from reglab.seeding import mix


@register
class QuasiRandom(Sampler):
    """All trials are known before the first is trained, and spaces that share a key share its values.

    Trial 3 of `none` and of `dropout` have the same learning rate, and trial 3 of `dropout+l2` has the strengths of
    trial 3 of `dropout` and of `l2`.
    """

    name = "quasi_random"

    def propose(
        self, space: Sequence[Dimension], history: Sequence[Observation], *, seed: int, arm: str, minimize: bool
    ) -> Values:
        return point(seed, space, len(history))

    def describe(self, seed: int) -> str:
        return (
            f"Search: quasi-random (search seed {seed}). A key has the same value in the same trial of every strategy "
            "that searches it: trial 3 of none and of dropout have the same learning rate."
        )


def point(seed: int, space: Sequence[Dimension], index: int) -> Values:
    """Return the values of trial `index` (from 0), by key.

    >>> from reglab.schema.search_space import Range
    >>> point(0, [Range("optimizer.lr", 1e-4, 1e-2, log=True)], 3)
    {'optimizer.lr': 0.009749}
    """
    return {dimension.key: dimension.quantile(uniform(seed, dimension.key, index)) for dimension in space}


@functools.lru_cache(maxsize=65536)
def uniform(seed: int, key: str, index: int) -> float:
    """Return the number of a key and a trial in [0, 1), a pure function of the arguments.

    The first 2^k numbers of a key contain one in each of 2^k equal intervals, for every k, in a random order that
    differs between keys. Together the keys of a space are a progressive Latin hypercube (Sheikholeslami and Razavi
    2017, "Progressive Latin Hypercube Sampling"), and adding a key changes no number of the others.

    Args:
        seed: seed of the search.
        key: ``optimizer.lr``, for example.
        index: index of the trial, from 0.
    """
    intervals = 1 << index.bit_length()
    interval = 0
    if index:  # earlier numbers fill one interval of each pair; this one takes the empty one beside its partner
        half = intervals // 2
        partner = uniform(seed, key, _order(seed, key, half)[index - half])
        interval = int(partner * intervals) ^ 1
    return (interval + (mix(seed, key, index) >> 31) / 2**32) / intervals


@functools.lru_cache(maxsize=1024)
def _order(seed: int, key: str, count: int) -> list[int]:
    """Return the trials below `count` in a random order of the key, in which later trials become their partners."""
    return sorted(range(count), key=lambda number: mix(seed, key, "order", count, number))
