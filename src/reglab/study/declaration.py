"""The stored declaration of a study (`study.json` on its parent run), made before the first run of the study.

A study with the same name and another definition is refused: it needs another version or name.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reglab.samplers import sampler_names
from reglab.schema.constraints import Constraint, Integer, ListOf, Nullable, OneOf, Satisfies, check_values
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.keys import FIRST_TUNING_SEED, STUDY
from reglab.schema.metrics import DIRECTION
from reglab.schema.search_space import dimension_to_json, is_dimension_json
from reglab.schema.text_constraints import KeysWithValues, Text
from reglab.study.arms import StudyArm
from reglab.study.definition import Study

if TYPE_CHECKING:
    from reglab.tracking.store import Store

FILE = "study.json"
_MAY_CHANGE = ("seeds",)  # more seeds make a study more precise, but not another study
_MAX_DIFFERENCES = 4  # in a message
# Keys that reports read, with their rules: a file in a store may contain anything.
_RULES: dict[str, Constraint] = {
    **{key: STUDY[f"study.{key}"] for key in ("metric", "trials", "max_seconds", "search_seed", "baseline")},
    "direction": DIRECTION,
    "sampler": OneOf(*sampler_names()),
    "select_by": ListOf(Text(), 1),
    "tuning_seeds": ListOf(Integer(FIRST_TUNING_SEED)),
    "pruning": Nullable(
        Satisfies(lambda v: KeysWithValues().accepts(v) and set(v) == {"eta", "rungs"}, "{eta:3,rungs:3}")
    ),
    "pruning.eta": Integer(2),
    "pruning.rungs": Integer(1),
    "space": Satisfies(
        lambda v: KeysWithValues().accepts(v) and all(map(_is_space, v.values())), "ranges by strategy and key"
    ),
}


def study_declaration(study: Study, arms: Sequence[StudyArm]) -> dict[str, Any]:
    """Return the parts of a study's definition that affect its result, as JSON values.

    Search spaces come from the composed configs, so that a changed default is a difference, too.
    """
    fields = {key: value for key, value in asdict(study).items() if key not in _MAY_CHANGE}
    fields["space"] = {
        arm.strategy: {dimension.key: dimension_to_json(dimension) for dimension in arm.space} for arm in arms
    }
    if files := {arm.task_name: arm.content for arm in arms if arm.content}:
        fields["files"] = files
    plain: dict[str, Any] = json.loads(json.dumps(fields, default=str))
    return plain


def check_declared(store: "Store", parent: str | None, study: Study, arms: Sequence[StudyArm]) -> None:
    """Compare a study with the declaration on its parent run, if there is one.

    Raises:
        ConfigError: they differ.
    """
    from reglab.tracking import artifacts

    stored = artifacts.of_run(store, parent).read_json(FILE, dict) if parent else None
    differences = list(_differences(stored, study_declaration(study, arms))) if stored else []
    if differences:
        shown = "; ".join(differences[:_MAX_DIFFERENCES])
        more = f"; {len(differences) - _MAX_DIFFERENCES} more" if len(differences) > _MAX_DIFFERENCES else ""
        raise ConfigError(
            Setting("study.name", study.name),
            f"this study was declared with another definition ({shown}{more})",
            f"set study.version={study.version + 1}, or another study.name (equal runs are reused)",
        )


def read_declaration(store: "Store", parent: str) -> dict[str, Any] | None:
    """Return the declaration on a parent run; None for a sweep.

    Raises:
        ConfigError: a key that reports read is missing or invalid.
    """
    from reglab.tracking import artifacts

    files = artifacts.of_run(store, parent)
    definition: dict[str, Any] | None = files.read_json(FILE, dict)
    if definition is None:
        return None
    try:
        for key in _RULES:
            if key.split(".")[0] not in definition:
                raise ConfigError(key, "missing")
        check_values(_RULES, definition)
    except ConfigError as error:
        raise files.damaged_error(FILE, error) from error
    return definition


def write_declaration(store: "Store", parent: str, study: Study, arms: Sequence[StudyArm]) -> None:
    """Write the declaration to the study's parent run."""
    from reglab.tracking import artifacts

    artifacts.of_run(store, parent).write_text(json.dumps(study_declaration(study, arms), indent=1), FILE)


def _is_space(strategy: object) -> bool:
    return isinstance(strategy, Mapping) and all(map(is_dimension_json, strategy.values()))


def _differences(before: Any, now: Any, key: str = "study") -> Iterator[str]:
    """Yield a phrase for each key that differs; lists are compared as sets."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in {**before, **now}:
            # Added and removed strategies are already differences of study.strategies.
            if not (key == "study.space" and (name not in before or name not in now)):
                yield from _differences(before.get(name), now.get(name), f"{key}.{name}")
    elif isinstance(before, list) and isinstance(now, list) and set(map(_short, before)) != set(map(_short, now)):
        parts = [("without", [item for item in before if item not in now])]
        parts += [("with", [item for item in now if item not in before])]
        changes = [f"{word} {', '.join(map(_short, items))}" for word, items in parts if items]
        yield f"{key} is now {' and '.join(changes)}"
    elif before != now:
        yield f"{key} was {_short(before)} and is {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False).replace('"', "")
    return text if len(text) <= 60 else f"{text[:57]}..."
