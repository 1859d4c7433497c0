"""Index of the declarations of all classes that a config can name, which is read without importing torch.

`index.json` is written by ``make index`` from the classes themselves and checked in. An entry is valid only while the
files of its class are unchanged. A class without a valid entry, such as a user's own, is imported
and described, which takes seconds and is always correct.
"""

import functools
import hashlib
import importlib.metadata
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from reglab.paths import CONF
from reglab.schema import constraints, text_constraints
from reglab.schema.constraints import Constraint, OneOf, Satisfies
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import MetricName
from reglab.schema.strength import Strength
from reglab.schema.text_constraints import ClassPath

FILE = Path(__file__).with_name("index.json")
TRAITS = (
    # regularizers
    "order",
    "requires_task",
    "requires",
    "requirement",
    "required_activation",
    "input_dims",
    "supports_padding",
    "supports_accumulation",
    "conflicts",
    "changes_cross_entropy",
    "stochastic",
    "compares_passes",
    "monitors_validation",
    # models
    "provides",
    # data
    "kind",
    "dims",
    "padded",
    "package",
    "module",
    "suffixes",
    "may_be_a_name",
)
"""Class variables that are declarations, of regularizers, models and data sets."""
_CONSTRAINTS: dict[str, Any] = {
    name: cls
    for module in (constraints, text_constraints)
    for name, cls in vars(module).items()
    if is_dataclass(cls) and isinstance(cls, type) and issubclass(cls, Constraint) and cls is not Satisfies
}
_NAMES: dict[str, type[OneOf]] = {cls.__name__: cls for cls in (OneOf, MetricName)}  # not dataclasses


@dataclass(frozen=True)
class Declaration:
    """The declarations of a class.

    Args:
        target: the class with its module, as a config names it.
        module: module that defines the class.
        parameters: keyword names that its constructor takes; None: any.
        constraints: constraint on each parameter, by name.
        strengths: strengths of a regularizer, by name.
        traits: other class variables, those of `TRAITS` that it has.
    """

    target: str
    module: str
    parameters: frozenset[str] | None
    constraints: Mapping[str, Constraint] = field(default_factory=dict)
    strengths: Mapping[str, Strength] = field(default_factory=dict)
    traits: Mapping[str, Any] = field(default_factory=dict)

    def get(self, trait: str, default: Any = None) -> Any:
        """Return a class variable, or the default if the class does not have it."""
        return self.traits.get(trait, default)


def declaration(target: str, key: str) -> Declaration:
    """Return what a class declares, from the index or from the class.

    Args:
        target: the class with its module.
        key: key that names the class, for errors.

    Raises:
        ConfigError: there is no such class, or its module cannot be imported.

    Example:
        >>> declaration("reglab.regularizers.l1.L1", "regularizer.l1._target_").strengths["strength"].default
        0.0001
    """
    ClassPath().check(key, target)
    entry = _entries().get(target)
    if entry is not None and _is_current(entry):
        return _declaration_of_entry(target)
    return _declaration_of_class(target, key)


@functools.cache
def _declaration_of_class(target: str, key: str) -> Declaration:
    return describe(find_class(target, key), target)


def find_class(target: str, key: str) -> type:
    """Import a class.

    Raises:
        ConfigError: there is no such class, or its module cannot be imported.
    """
    module, _, name = target.rpartition(".")
    where = Setting(key, target)
    try:
        cls = getattr(import_module(module), name, None)
    except ImportError as error:
        raise ConfigError(where, f"its module cannot be imported ({error})", "check the name") from error
    if not inspect.isclass(cls):
        raise ConfigError(where, f"{module} has no class {name}", "check the name")
    return cls


def describe(cls: type, target: str) -> Declaration:
    """Return what a class declares.

    Args:
        cls: the class.
        target: name of the class in configs.
    """
    constraints: dict[str, Constraint] = {}
    for base in reversed(cls.__mro__):
        constraints |= vars(base).get("constraints", {})
    strengths = cls.strengths() if hasattr(cls, "strengths") else {}  # of a regularizer
    where = Setting("_target_", target)
    for name, constraint in constraints.items():
        if not isinstance(constraint, Constraint):
            problem = f"declares {constraint!r} as the constraint on {name}"
            raise ConfigError(where, problem, "declare one of reglab.schema.constraints, such as Integer(1)")
    for name, strength in strengths.items():
        if problem := strength.problem():
            raise ConfigError(where, f"declares the strength {name} with {problem}", "correct its declaration")
    traits = {name: getattr(cls, name) for name in TRAITS if hasattr(cls, name)}
    return Declaration(target, cls.__module__, _parameters(cls), constraints, strengths, traits)


def _parameters(cls: type) -> frozenset[str] | None:
    """Return the keyword names that a constructor takes, including those that it passes to its base classes."""
    if (declared := vars(cls).get("__signature__")) is not None:
        return frozenset(declared.parameters)
    names: set[str] = set()
    for base in cls.__mro__:
        maker = vars(base).get("__init__") or vars(base).get("__new__")
        if maker is None or base is object:
            continue
        parameters = list(inspect.signature(maker).parameters.values())[1:]
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return frozenset(names)
    return None


@functools.cache
def _entries() -> dict[str, Any]:
    """Return the checked-in entries; a missing file has none, so that all classes are imported."""
    try:
        entries: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
        for entry in entries.values():
            _ = [entry[key] for key in _FIELDS]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"schema/{FILE.name}", f"is damaged ({type(error).__name__}: {error})", "run make index"
        ) from error
    return entries


_FIELDS = ("module", "parameters", "constraints", "strengths", "traits", "sources")


@functools.cache
def _declaration_of_entry(target: str) -> Declaration:
    entry = _entries()[target]
    traits = {name: tuple(value) if isinstance(value, list) else value for name, value in entry["traits"].items()}
    return Declaration(
        target,
        entry["module"],
        None if entry["parameters"] is None else frozenset(entry["parameters"]),
        {name: constraint_from_json(plain) for name, plain in entry["constraints"].items()},
        {name: Strength.from_json(plain) for name, plain in entry["strengths"].items()},
        traits,
    )


def _is_current(entry: Mapping[str, Any]) -> bool:
    return all(_version_of(module) == version for module, version in entry["sources"].items())


@functools.cache
def _version_of(module: str) -> str:
    """Return the digest of a module of reglab, or the version of another package."""
    package = module.partition(".")[0]
    if package != "reglab":
        return importlib.metadata.version(package).partition("+")[0]
    file = _file_of(module)
    text = file.read_bytes().replace(b"\r\n", b"\n") if file is not None else b""
    return hashlib.sha256(text).hexdigest()[:16]


def _file_of(module: str) -> Path | None:
    """Return the file of a module of reglab, without importing it."""
    path = Path(__file__).parents[1].joinpath(*module.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def render_index(targets: Iterable[str]) -> str:
    """Import classes, and return the text of `FILE` for them.

    Args:
        targets: classes with their modules.
    """
    entries = {target: _entry(target) for target in sorted(set(targets))}
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def _entry(target: str) -> dict[str, Any]:
    cls = find_class(target, "_target_")
    declared = describe(cls, target)
    modules = {base.__module__ for base in cls.__mro__ if base.__module__.startswith("reglab.")}
    return {
        "module": declared.module,
        "parameters": None if declared.parameters is None else sorted(declared.parameters),
        "constraints": {name: constraint_to_json(constraint) for name, constraint in declared.constraints.items()},
        "strengths": {name: strength.to_json() for name, strength in declared.strengths.items()},
        "traits": dict(declared.traits),
        "sources": {name: _version_of(name) for name in sorted(modules or {cls.__module__.partition(".")[0]})},
    }


def constraint_to_json(constraint: Constraint) -> dict[str, Any]:
    """Return a constraint as JSON values: the name of its class, and its fields.

    >>> from reglab.schema.constraints import Integer, Nullable
    >>> constraint_to_json(Nullable(Integer(1)))
    {'type': 'Nullable', 'inner': {'type': 'Integer', 'minimum': 1}}
    """
    name = type(constraint).__name__
    if name in _NAMES:
        return {"type": name, "options": list(constraint.options)}
    if name not in _CONSTRAINTS:
        raise TypeError(f"{name}: the index cannot contain it; declare {', '.join([*_CONSTRAINTS, *_NAMES])}")
    plain: dict[str, Any] = {"type": name}
    for attribute in fields(constraint):  # type: ignore[arg-type]  # all but names are dataclasses
        value = getattr(constraint, attribute.name)
        if value != attribute.default:
            plain[attribute.name] = constraint_to_json(value) if isinstance(value, Constraint) else value
    return plain


def constraint_from_json(plain: Mapping[str, Any]) -> Constraint:
    """Return the constraint that `constraint_to_json` wrote."""
    values = {key: value for key, value in plain.items() if key != "type"}
    if plain["type"] in _NAMES:
        return _NAMES[plain["type"]](*values["options"])
    arguments = {
        key: constraint_from_json(value) if isinstance(value, Mapping) else value for key, value in values.items()
    }
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
    constraint: Constraint = _CONSTRAINTS[plain["type"]](**arguments)
    return constraint


def options(group: str) -> dict[str, Declaration]:
    """Return what the classes of a config group declare, by option.

    >>> sorted(options("optimizer"))
    ['adam', 'adamw', 'sgd']
    """
    declarations = {}
    for file in sorted((CONF / group).glob("[!_]*.yaml")):
        target = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("_target_")
        if target is not None:
            declarations[file.stem] = declaration(str(target), f"{group}._target_")
    return declarations


def shipped_targets(conf: Path) -> Iterator[str]:
    """Yield the classes that the files of a config tree name, and torch's optimizers and schedulers."""
    for file in sorted(conf.rglob("*.yaml")):
        yield from _targets(yaml.safe_load(file.read_text(encoding="utf-8")))
    for module in ("torch.optim", "torch.optim.lr_scheduler"):
        package = import_module(module)
        yield from (f"{module}.{name}" for name in package.__all__ if inspect.isclass(getattr(package, name)))


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(target := node.get("_target_"), str):
            yield target
        for child in node.values():
            yield from _targets(child)
    elif isinstance(node, list):
        for child in node:
            yield from _targets(child)


def main() -> None:
    """Write the index."""
    FILE.write_text(render_index(shipped_targets(CONF)), encoding="utf-8")


if __name__ == "__main__":
    main()
