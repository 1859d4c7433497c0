"""Quasi-random search: every trial known beforehand, the same for all strategies in what they share."""

from collections.abc import Iterable

from reglab.schema.search_space import Dimension, Value
from reglab.study.search.sequence import place


def values(seed: int, space: Iterable[Dimension], index: int) -> dict[str, Value]:
    """The index-th point of a space, by key.

    A key has the same value in every space that holds it: trial 3 of `none` and of `dropout` have one learning rate,
    and trial 3 of `dropout+l2` has the strengths of trial 3 of `dropout` and of `l2`.
    """
    return {dimension.key: dimension.at(place(seed, dimension.key, index)) for dimension in space}
