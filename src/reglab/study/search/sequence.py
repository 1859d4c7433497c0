"""Quasi-random numbers for search, each a pure function of (seed, key, trial)."""

import functools

from reglab.seeding import mix


@functools.lru_cache(maxsize=65536)
def place(seed: int, key: str, index: int) -> float:
    """The index-th number of a key's own sequence in [0, 1).

    The first 2^k numbers of a key fall one into each of 2^k equal parts, for every k, in an order that is random and
    another for each key. Together the keys of a space are a Latin hypercube that doubles without end (Sheikholeslami
    and Razavi 2017, "Progressive Latin Hypercube Sampling"), and one key more moves no number of the others.

    Args:
        seed: of the whole search.
        key: what is searched: ``optimizer.lr``.
        index: of the trial, from 0.
    """
    parts = 1 << index.bit_length()
    part = 0
    if index:  # those before fill one part of each pair of parts: this one takes the one beside its partner's
        half = parts // 2
        part = int(place(seed, key, _order(seed, key, half)[index - half]) * parts) ^ 1
    return (part + (mix(seed, key, index) >> 31) / 2**32) / parts


@functools.lru_cache(maxsize=1024)
def _order(seed: int, key: str, count: int) -> list[int]:
    return sorted(range(count), key=lambda number: mix(seed, key, "order", count, number))
