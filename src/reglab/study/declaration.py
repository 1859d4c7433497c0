"""What a study declares before its first run, kept on its parent: another definition needs another version or name."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reglab.errors import ConfigError
from reglab.study.cells import Cell
from reglab.study.definition import Study

if TYPE_CHECKING:
    from reglab.tracking.store import Store

FILE = "study.json"
_MAY_GROW = ("seeds",)  # more seeds make a study surer, and no other
_SHOWN = 4


def declaration(study: Study, cells: Sequence[Cell]) -> dict[str, Any]:
    """All of the definition that moves its result, as JSON: what is searched comes from the composed configs."""
    told = {key: value for key, value in asdict(study).items() if key not in _MAY_GROW}
    told["space"] = {cell.strategy: {one.key: asdict(one) for one in cell.space} for cell in cells}
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
            f"study.name={study.name}: was declared otherwise ({shown}{more}); "
            f"set study.version={study.version + 1}, or another study.name (runs that are the same are reused)"
        )


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
