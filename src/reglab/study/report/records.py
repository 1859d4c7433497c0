"""What a report reads of a tracked run."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


class Record(Protocol):
    """One tracked run, read only (as `reglab.tracking.queries.Record`); times are seconds since 1970, or None."""

    @property
    def run_id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def tags(self) -> Mapping[str, str]: ...
    @property
    def params(self) -> Mapping[str, str]: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...
    @property
    def started(self) -> float | None: ...
    @property
    def ended(self) -> float | None: ...


History = list[tuple[int, float]]
# Run ids and metrics in; by metric, the (step, value) pairs by run id out.
Histories = Callable[[Sequence[str], Sequence[str]], Mapping[str, Mapping[str, History]]]


def value(record: Record, metric: str) -> float | None:
    """The metric's last value; None where it is missing or not finite (MLflow stores infinity as 1.8e308)."""
    number = record.metrics.get(metric)
    if number is None or not math.isfinite(number) or abs(number) > 1e300:
        return None
    return float(number)


def by_number(text: str) -> tuple[int, float, str]:
    """Sort key: numbers by value, before any other text."""
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text


def number(text: str) -> str:
    """A tracked strength as people write it: `0.30000` and `3e-1` are `0.3`; anything but a number stays as it is."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return text
