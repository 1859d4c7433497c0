"""What a report reads of a tracked run."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reglab.streams import visible

_LONGEST = 200  # characters of a name: a longer one is no name, and drawing it takes minutes


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


@dataclass(frozen=True)
class _Legible:
    run_id: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    started: float | None
    ended: float | None


def legible(record: Record) -> Record:
    """The record with escapes for what a page, a picture or a terminal would act on instead of showing it."""
    tags, params = legible_values(record.tags), legible_values(record.params)
    tags |= {tag: shortened(tags[tag]) for tag in ("strategy", "data") if tag in tags}
    if (tags, params) == (record.tags, record.params):
        return record
    times = (record.started, record.ended)
    return _Legible(record.run_id, record.status, tags, params, record.metrics, *times)


def shortened(name: str) -> str:
    """Return a name of `_LONGEST` characters at most: of a longer one the begin, and a digest that tells it apart."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 10]}… {hashlib.sha256(name.encode()).hexdigest()[:8]}"


def legible_values(values: Any) -> Any:
    """JSON-able values whose texts are legible."""
    if isinstance(values, str):
        return visible(values)
    if isinstance(values, Mapping):
        return {legible_values(key): legible_values(value) for key, value in values.items()}
    return [legible_values(value) for value in values] if isinstance(values, (list, tuple)) else values


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
