"""What a study declares before its first run, kept on its parent: another definition needs another version or name."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reglab.config.keys import FIRST_TUNING_SEED, STUDY
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.rules import Rule, apply, list_of, mapping, one_of, or_null, text, whole
from reglab.schema.search_space import dimension_to_json, is_dimension_json
from reglab.study.cells import Cell
from reglab.study.definition import Study

if TYPE_CHECKING:
    from reglab.tracking.store import Store

FILE = "study.json"
_MAY_GROW = ("seeds",)  # more seeds make a study surer, and no other
_SHOWN = 4
# Keys that reports read, with their rules: a file in a store may contain anything.
_READ: dict[str, Rule] = {
    **{key: STUDY[f"study.{key}"] for key in ("metric", "trials", "max_seconds", "sampler", "search_seed", "baseline")},
    "direction": one_of("max", "min"),
    "select_by": list_of(text(), least=1),
    "tuning_seeds": list_of(whole(FIRST_TUNING_SEED)),
    "pruning": or_null(Rule(lambda v: mapping().fits(v) and set(v) == {"eta", "rungs"}, "{eta:3,rungs:3}")),
    "pruning.eta": whole(2),
    "pruning.rungs": whole(1),
    "space": Rule(lambda v: mapping().fits(v) and all(map(_is_space, v.values())), "ranges by strategy and key"),
}


def declaration(study: Study, cells: Sequence[Cell]) -> dict[str, Any]:
    """All of the definition that moves its result, as JSON: what is searched comes from the composed configs."""
    told = {key: value for key, value in asdict(study).items() if key not in _MAY_GROW}
    told["space"] = {cell.strategy: {one.key: dimension_to_json(one) for one in cell.space} for cell in cells}
    if files := {cell.about: cell.content for cell in cells if cell.content}:
        told["files"] = files
    found: dict[str, Any] = json.loads(json.dumps(told, default=str).replace("Infinity", '"inf"'))
    return found


def check_declared(store: "Store", parent: str | None, study: Study, cells: Sequence[Cell]) -> None:
    """Compares with what was declared under this name.

    Raises:
        ConfigError: it was another study.
    """
    from reglab.tracking import artifacts

    before = artifacts.of(store, parent).read_json(FILE, dict) if parent else None
    differences = list(_differences(before, declaration(study, cells))) if before else []
    if differences:
        shown = "; ".join(differences[:_SHOWN])
        more = f"; {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        raise ConfigError(
            Setting("study.name", study.name),
            f"was declared otherwise ({shown}{more})",
            f"set study.version={study.version + 1}, or another study.name (runs that are the same are reused)",
        )


def read(store: "Store", parent: str) -> dict[str, Any] | None:
    """Return the declaration of a study, None for a sweep; the keys that reports read are checked.

    Raises:
        ConfigError: the file is damaged: a key is missing, or its value breaks its rule.
    """
    from reglab.tracking import artifacts

    files = artifacts.of(store, parent)
    definition = files.read_json(FILE, dict)
    if definition is None:
        return None
    try:
        for key in _READ:
            if key.split(".")[0] not in definition:
                raise ConfigError(f"{key} is missing")
        apply(_READ, definition)
    except ConfigError as error:
        raise files.damaged(FILE, error) from error
    assert isinstance(definition, dict)
    return definition


def _is_space(strategy: object) -> bool:
    return isinstance(strategy, Mapping) and all(map(is_dimension_json, strategy.values()))


def keep(store: "Store", parent: str, study: Study, cells: Sequence[Cell]) -> None:
    """Writes the declaration to the study's parent."""
    from reglab.tracking import artifacts

    artifacts.of(store, parent).write_text(json.dumps(declaration(study, cells), indent=1), FILE)


def _differences(before: Any, now: Any, key: str = "study") -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in {**before, **now}:
            if not (key == "study.space" and (name not in before or name not in now)):  # its strategy came or went
                yield from _differences(before.get(name), now.get(name), f"{key}.{name}")
    elif isinstance(before, list) and isinstance(now, list) and set(map(_short, before)) != set(map(_short, now)):
        parts = [("without", [item for item in before if item not in now])]
        parts += [("with", [item for item in now if item not in before])]
        told = [f"{word} {', '.join(map(_short, items))}" for word, items in parts if items]
        yield f"{key} is now {' and '.join(told)}"
    elif before != now:
        yield f"{key} was {_short(before)} and is {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False).replace('"', "")
    return text if len(text) <= 60 else f"{text[:57]}..."
