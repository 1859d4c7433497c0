"""Schedules of strengths over the epochs of training."""

from collections.abc import Callable, Mapping
from typing import Any

Schedule = Callable[[int], float]
"""Function from the epoch, from 1, to the value of the strength."""


def linear(value: float, start: float, epochs: int) -> Schedule:
    """Return a linear schedule from `start` in epoch 1 to `value` in epoch `epochs`, constant afterwards."""
    return lambda epoch: value if epoch >= epochs else start + (value - start) * (epoch - 1) / (epochs - 1)


def early(value: float, off: float, until: int) -> Schedule:
    """Return a schedule with `value` up to and including epoch `until`, then `off`."""
    return lambda epoch: value if epoch <= until else off


def late(value: float, off: float, since: int) -> Schedule:
    """Return a schedule with `off` before epoch `since`, then `value`."""
    return lambda epoch: value if epoch >= since else off


def schedule(value: float, off: float | None, settings: Mapping[str, Any], *, whole: bool = False) -> Schedule:
    """Return the schedule of a strength from its config.

    Args:
        value: value of the strength.
        off: off value of the strength; None if it has none, which ``linear`` and ``constant`` allow.
        settings: ``kind`` and the arguments of that kind; see `reglab.config.schedules`.
        whole: round values to whole numbers.
    """
    arguments = {key: number for key, number in settings.items() if key != "kind"}
    if settings["kind"] == "constant":
        return lambda epoch: value
    if settings["kind"] == "linear":
        exact = linear(value, **arguments)
        return (lambda epoch: float(round(exact(epoch)))) if whole else exact
    assert off is not None, "checked by reglab.config.schedules"
    return (early if settings["kind"] == "early" else late)(value, off, **arguments)
