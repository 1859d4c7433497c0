"""Schedules of strengths over the epochs of training."""

from collections.abc import Callable, Mapping
from typing import Any

Schedule = Callable[[int], float]
"""Epoch, from 1, to the strength's value."""


def linear(value: float, start: float, epochs: int) -> Schedule:
    """From `start` in the first epoch in equal steps to `value` in epoch `epochs`, and from then on."""
    return lambda epoch: value if epoch >= epochs else start + (value - start) * (epoch - 1) / (epochs - 1)


def early(value: float, off: float, until: int) -> Schedule:
    """`value` up to the epoch `until`, that included; then off."""
    return lambda epoch: value if epoch <= until else off


def late(value: float, off: float, since: int) -> Schedule:
    """Off before the epoch `since`; `value` from then on."""
    return lambda epoch: value if epoch >= since else off


def schedule(value: float, off: float | None, settings: Mapping[str, Any], *, whole: bool = False) -> Schedule:
    """The schedule of a strength from its config.

    Args:
        value: of the strength.
        off: its off value; None where it has none, which only `linear` can do without.
        settings: ``kind`` and what it needs; see `reglab.config.schedules`.
        whole: only whole numbers mean something; values in between are rounded.
    """
    keys = {key: number for key, number in settings.items() if key != "kind"}
    if settings["kind"] == "constant":
        return lambda epoch: value
    if settings["kind"] == "linear":
        steps = linear(value, **keys)
        return (lambda epoch: float(round(steps(epoch)))) if whole else steps
    assert off is not None, "reglab.config.schedules has refused it"
    return (early if settings["kind"] == "early" else late)(value, off, **keys)
