"""Tracked runs as a report reads them: the record protocol, metric values, safe text, and groups of one task."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reglab.streams import visible

_LONGEST_NAME = 200  # characters; charts with longer names take minutes to draw
# Distinguish settings of runs without the tag `setting`.
_FALLBACK_FEATURES = ("model", "optimizer", "optimizer.lr")


class RunRecord(Protocol):
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


def escape_record(record: RunRecord) -> RunRecord:
    """Return the record with control characters in tags and params escaped, and long names shortened.

    A tracker may contain any text: escape sequences must not reach a terminal, a page or a chart.
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


def finite_metric(record: RunRecord, metric: str) -> float | None:
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


@dataclass(frozen=True)
class ReportTask:
    """Runs that may be compared with each other.

    Attributes:
        name: unique in the report: the data set, and what distinguishes this setting from others of the same data.
        key: (data set, setting).
        about: the setting by feature, for example ``{"model": "MLP", "label_noise": "0.4"}``.
        records: the runs.
    """

    name: str
    key: tuple[str, str]
    about: dict[str, str]
    records: list[RunRecord]

    @property
    def data(self) -> str:
        """Name of the data set."""
        return self.key[0]

    @property
    def data_identity(self) -> tuple[str, ...]:
        """Identity of the data set in any setting: its name, class, file contents and target."""
        return (self.data, *(self.about.get(feature, "") for feature in ("data", "path", "root", "target")))


def split_into_tasks(records: Sequence[RunRecord]) -> list[ReportTask]:
    """Return the tasks of some runs, sorted by data set and setting."""
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        groups.setdefault(task_key(record), []).append(record)
    tasks = []
    for data, setting in sorted(groups, key=lambda key: (key[0], _setting_order(groups[key][0]))):
        settings = {s: setting_features(groups[d, s][0]) for d, s in groups if d == data}
        label = _setting_label(setting, settings) if len(settings) > 1 else ""
        name = f"{data} ({label})" if label else data
        tasks.append(ReportTask(name, (data, setting), settings[setting], groups[data, setting]))
    return tasks


def data_set_names(tasks: Sequence[ReportTask]) -> list[str]:
    """Return the name of each task's data set, numbered if different data sets have the same name."""
    identities: dict[str, list[tuple[str, ...]]] = {}
    for task in tasks:
        known = identities.setdefault(task.data, [])
        if task.data_identity not in known:
            known.append(task.data_identity)
    numbers = ((task, identities[task.data].index(task.data_identity) + 1) for task in tasks)
    return [f"{task.data} ({number})" if len(identities[task.data]) > 1 else task.data for task, number in numbers]


def setting_features(record: RunRecord) -> dict[str, str]:
    """Return a run's setting by feature: its tag `about` (a JSON object or text), else model, optimizer and lr."""
    text = record.tags.get("about", "")
    try:
        about = json.loads(text) if text else None
    except ValueError:
        about = text
    if isinstance(about, dict):
        return dict(_readable_feature(str(key), value) for key, value in about.items())
    if about is not None:
        return {"": text}
    features = {name: record.tags.get(name) or record.params.get(name) for name in _FALLBACK_FEATURES}
    return {name: text for name, text in features.items() if text}


def task_key(record: RunRecord) -> tuple[str, str]:
    """Return the (data set, setting) of a run."""
    if record.tags.get("setting"):
        return record.tags["data"], record.tags["setting"]
    features = setting_features(record)
    if record.tags.get("phase") == "confirm":  # each strategy has the learning rate that its tuning selected
        features = {name: text for name, text in features.items() if name != "optimizer.lr"}
    return record.tags["data"], json.dumps(features, sort_keys=True) if features else ""


def _setting_label(setting: str, settings: dict[str, dict[str, str]]) -> str:
    """Return the features in which a setting differs from the others, and its number if they do not identify it."""
    own = settings[setting]
    names = sorted({name for features in settings.values() for name in features})
    differing = [name for name in names if len({features.get(name) for features in settings.values()}) > 1]
    # A different model has other keys, which need not be listed: `model=CNN` is enough.
    common = [name for name in differing if all(name in features for features in settings.values())] or differing
    values = {name: own.get(name, "unset") for name in common}
    label = ", ".join(f"{name}={text}" if name else text for name, text in values.items())
    ambiguous = any(
        other != setting and all(features.get(name) == own.get(name) for name in common)
        for other, features in settings.items()
    )
    number = f"setting {setting[:8] or 'unknown'}" if ambiguous or not label else ""
    return ", ".join(filter(None, [label, number]))


def _readable_feature(key: str, value: object) -> tuple[str, str]:
    """Return `model._target_: reglab.models.MLP` as `model: MLP`, `data.label_noise: 0.4` as `label_noise: 0.4`."""
    section, dot, rest = key.partition(".")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if rest == "_target_":
        return section, text.rpartition(".")[2]
    if rest == "name":
        return section, text
    if rest in ("path", "root"):  # the hash of the file's content
        text = text[:8]
    return (rest if dot and section in ("data", "trainer", "model") else key), text


def _setting_order(record: RunRecord) -> list[tuple[str, tuple[int, float, str]]]:
    return [(name, numeric_order(text)) for name, text in sorted(setting_features(record).items())]
