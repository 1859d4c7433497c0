"""Tasks: runs of one data set under one setting. Runs of unlike settings are never averaged."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from reglab.report.records import Record, by_number

# What tells settings apart where no `setting` tag does: all that people filter on but strengths and seeds.
_STAND_IN = ("model", "optimizer", "optimizer.lr")


@dataclass(frozen=True)
class Task:
    """Runs that may be compared with each other: of one data set (`key[0]`) under one setting (`key[1]`).

    `about` tells the setting by its features, `name` tells the task from the others.
    """

    name: str
    key: tuple[str, str]
    about: dict[str, str]
    records: list[Record]

    @property
    def data(self) -> str:
        return self.key[0]

    @property
    def source(self) -> tuple[str, ...]:
        """What the data are, whatever the setting: the name, its class, the content of files, and the target."""
        return (self.data, *(self.about.get(feature, "") for feature in ("data", "path", "root", "target")))

    @property
    def slug(self) -> str:
        """The name as part of a file's name."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.name).strip("-.") or "task"


def split(records: Sequence[Record]) -> list[Task]:
    """Tasks by data set and setting, named after the data set and what differs among its settings."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault(key_of(record), []).append(record)
    tasks = []
    for data, setting in sorted(groups, key=lambda key: (key[0], _sortable(groups[key][0]))):
        rivals = {s: features(groups[d, s][0]) for d, s in groups if d == data}
        label = _label(setting, rivals) if len(rivals) > 1 else ""
        name = f"{data} ({label})" if label else data
        tasks.append(Task(name, (data, setting), rivals[setting], groups[data, setting]))
    return tasks


def data_sets(tasks: Sequence[Task]) -> list[str]:
    """Return the name of each task's data set, with a number where several data sets have one name."""
    sources: dict[str, list[tuple[str, ...]]] = {}
    for task in tasks:
        own = sources.setdefault(task.data, [])
        if task.source not in own:
            own.append(task.source)
    numbers = ((task, sources[task.data].index(task.source) + 1) for task in tasks)
    return [f"{task.data} ({number})" if len(sources[task.data]) > 1 else task.data for task, number in numbers]


def features(record: Record) -> dict[str, str]:
    """What the run's setting consists of: its tag `about` (a JSON object, or text), else model, optimizer and rate."""
    text = record.tags.get("about", "")
    try:
        told = json.loads(text) if text else None
    except ValueError:
        told = text
    if isinstance(told, dict):
        return dict(_readable(str(key), value) for key, value in told.items())
    if told is not None:
        return {"": text}
    found = {name: record.tags.get(name) or record.params.get(name) for name in _STAND_IN}
    return {name: text for name, text in found.items() if text}


def key_of(record: Record) -> tuple[str, str]:
    """The data set and the setting of a run."""
    if record.tags.get("setting"):
        return record.tags["data"], record.tags["setting"]
    told = features(record)
    if record.tags.get("phase") == "confirm":  # every strategy brings the learning rate that tuning gave it
        told = {name: text for name, text in told.items() if name != "optimizer.lr"}
    return record.tags["data"], json.dumps(told, sort_keys=True) if told else ""


def _label(setting: str, rivals: dict[str, dict[str, str]]) -> str:
    """What this setting of a data set has that its rivals have not; its number where that does not tell it apart."""
    own = rivals[setting]
    names = sorted({name for other in rivals.values() for name in other})
    differs = [name for name in names if len({other.get(name) for other in rivals.values()}) > 1]
    # Another model brings keys of its own: `model=cnn` says it all.
    common = [name for name in differs if all(name in other for other in rivals.values())] or differs
    told = {name: own.get(name, "unset") for name in common}
    label = ", ".join(f"{name}={text}" if name else text for name, text in told.items())
    alike = any(s != setting and all(o.get(n) == own.get(n) for n in common) for s, o in rivals.items())
    return ", ".join(filter(None, [label, f"setting {setting[:8] or 'untold'}" if alike or not label else ""]))


def _readable(key: str, value: object) -> tuple[str, str]:
    """`model._target_: reglab.models.MLP` as `model: MLP`, `data.label_noise: 0.4` as `label_noise: 0.4`."""
    section, dot, rest = key.partition(".")
    text = value if isinstance(value, str) else json.dumps(value)
    if rest == "_target_":
        return section, text.rpartition(".")[2]
    if rest == "name":
        return section, text
    if rest in ("path", "root"):  # a file's content, by its hash
        text = text[:8]
    return (rest if dot and section in ("data", "trainer", "model") else key), text


def _sortable(record: Record) -> list[tuple[str, tuple[int, float, str]]]:
    return [(name, by_number(text)) for name, text in sorted(features(record).items())]
