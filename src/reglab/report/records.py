"""Tracked runs as a report reads them: the record protocol, metric values, and text that is safe to display."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reglab.streams import visible

_LONGEST_NAME = 200  # characters; charts with longer names take minutes to draw


class Record(Protocol):
    """A tracked run, read only (see `reglab.tracking.queries.Record`); times are seconds since 1970, or None."""

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
class _EscapedRecord:
    run_id: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    started: float | None
    ended: float | None


History = list[tuple[int, float]]  # (step, value) pairs
# Run ids and metric names in; histories by metric and run id out.
Histories = Callable[[Sequence[str], Sequence[str]], Mapping[str, Mapping[str, History]]]


def escape_record(record: Record) -> Record:
    """Return the record with control characters in tags and params escaped, and long names shortened.

    A tracker may hold anything: escape sequences must not reach a terminal, a page or a chart.
    """
    tags, params = escape_values(record.tags), escape_values(record.params)
    tags |= {tag: shorten_name(tags[tag]) for tag in ("strategy", "data") if tag in tags}
    if (tags, params) == (record.tags, record.params):
        return record
    times = (record.started, record.ended)
    return _EscapedRecord(record.run_id, record.status, tags, params, record.metrics, *times)


def escape_values(values: Any) -> Any:
    """Return JSON values with control characters in all texts escaped."""
    if isinstance(values, str):
        return visible(values)
    if isinstance(values, Mapping):
        return {escape_values(key): escape_values(value) for key, value in values.items()}
    return [escape_values(value) for value in values] if isinstance(values, (list, tuple)) else values


def shorten_name(name: str) -> str:
    """Return a name of at most 200 characters; a longer one ends in a digest that keeps it unique."""
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 10]}… {hashlib.sha256(name.encode()).hexdigest()[:8]}"


def finite_metric(record: Record, metric: str) -> float | None:
    """Return the last value of a metric; None if it is missing or not finite (MLflow stores infinity as 1.8e308)."""
    number = record.metrics.get(metric)
    if number is None or not math.isfinite(number) or abs(number) > 1e300:
        return None
    return float(number)


def numeric_order(text: str) -> tuple[int, float, str]:
    """Return a sort key that orders numbers by value, before any other text.

    >>> sorted(["10", "9", "a"], key=numeric_order)
    ['9', '10', 'a']
    """
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text


def normalize_number(text: str) -> str:
    """Return a tracked number in its short form; other text is returned unchanged.

    >>> normalize_number("0.30000"), normalize_number("3e-1"), normalize_number("relu")
    ('0.3', '0.3', 'relu')
    """
    try:
        return f"{float(text):g}"
    except ValueError:
        return text
