"""Check the classes, files and variables that a tracked run names.

Others may be able to write to a tracking store, so names that occur only there are not used. docs/identity.md lists
the settings that have to be typed again.
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from reglab.filesystem import is_path
from reglab.paths import CONF
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text import quote_value
from reglab.wording import shell_quote

_TARGET = "_target_"
_REFUSED = "a class that is named only in the tracking store is not run; add a YAML for it to conf/"
_ONE_WORD = re.compile(r"[\w.=/:@+-]+")  # for the shell
_NAMES_TARGET = re.compile(rf"(?<!\w){_TARGET}(?!\w)")  # not my_target_net
_RESOLVER = re.compile(r"\$\{\s*[\w.]+\s*:")
_MAX_OVERRIDES, _MAX_CHARACTERS = 1000, 10_000  # of a run, and of one override
# Keys of code and files: the user of a tracked run types them again.
TYPED = ("model.target", "model.path", "model.args", "data.path", "data.root", "data.tokenizer", "data.cache")
_PATH_KEYS = frozenset({"path", "root", "tokenizer", "cache"})
_MADE = {"data.tokenizer": ("characters", "bpe")}  # trained on the run's own text
# Names of columns and labels, which are never paths.
_TEXTS = frozenset({"name", "target", "ignore", "split_column", "image", "column", "config", "test_fold", "val_fold"})
_READ = ("data", "model", "regularizer", "optimizer", "scheduler", "trainer")


@dataclass(frozen=True)
class Typed:
    """Settings that the user has typed to use a tracked run.

    Attributes:
        values: typed values by key, for the keys in `TYPED`.
        changed: whether the code may differ from the run's.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    changed: bool = False

    @property
    def target(self) -> str | None:
        """The class of the user's own network."""
        value = self.values.get("model.target")
        return None if value is None else str(value)


def typed(cfg: DictConfig) -> Typed:
    """Return the values of `TYPED` in a pipeline's config, and whether ``code=changed`` was typed."""
    plain = OmegaConf.to_container(cfg, resolve=True)
    values = {key: _select(plain, key) for key in TYPED}
    return Typed({key: value for key, value in values.items() if value is not None}, cfg.get("code") == "changed")


def check_typed(overrides: Sequence[str]) -> None:
    """Refuse resolvers on the command line: what they read, such as a variable, would be kept in tags and files.

    Raises:
        ConfigError: names the override.
    """
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        match = _RESOLVER.search(override)
        if match and not key.startswith(("tracking.uri", "hydra")):
            raise ConfigError(
                override,
                f"the value that {match[0]} ...}} reads would be stored in tags and files",
                f'give the value, as in "{key}=$VARIABLE", which the shell fills in',
            )


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuse overrides of a tracked run that name a class, a variable or a config outside the config tree.

    Called before they are composed, since composing them would read these.

    Raises:
        ConfigError: names the override.
    """
    if len(overrides) > _MAX_OVERRIDES:
        raise ConfigError("overrides.yaml", f"has {len(overrides)} overrides", f"at most {_MAX_OVERRIDES} are read")
    for override in overrides:
        if len(override) > _MAX_CHARACTERS:
            raise ConfigError(
                f"{override[:60]}...", f"is {len(override)} characters long", f"at most {_MAX_CHARACTERS}"
            )
        if _NAMES_TARGET.search(override):
            raise ConfigError(Setting.of(override), _REFUSED)
        _check_override(override)


def _check_override(override: str) -> None:
    try:
        parsed = OverridesParser.create().parse_overrides([override])[0]
    except (HydraException, RecursionError) as error:
        raise ConfigError(Setting.of(override), "is not a valid override of Hydra") from error
    if "${" in override or any("${" in text for text in _strings(parsed.value())):
        raise ConfigError(
            Setting.of(override),
            "interpolations of a tracked run are not resolved, because they could read variables of this machine",
            "track the run again with the value itself",
        )
    key = parsed.key_or_group
    if key.split(".")[0].split("/")[0] == "hydra" and not key.startswith(("hydra/launcher", "hydra.launcher.")):
        raise ConfigError(
            Setting.of(override), "settings of Hydra are not taken from a tracked run", "give another run"
        )
    if parsed.package is not None or _leads_elsewhere(parsed):
        raise ConfigError(
            Setting.of(override), "a tracked run takes its configs from conf/ by their names", "give another run"
        )


def _leads_elsewhere(override: Override) -> bool:
    """Return whether a choice of a group is written as a path that leaves the config tree."""
    if "." in override.key_or_group:
        return False
    names = [name.replace("\\", "/") for name in _strings(override.value())]
    return any(name.startswith("/") or ".." in name.split("/") for name in names)


def _strings(value: Any) -> Iterator[str]:
    """Yield all texts in a parsed value; values of Hydra's own types, such as sweeps, as they were typed."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
    elif value is not None:
        yield str(value)


def check_targets(cfg: DictConfig, folder: Path = CONF) -> None:
    """Refuse a class or function, anywhere in the config, that no file of the project's config tree names.

    Args:
        cfg: config composed for a tracked run.
        folder: the config tree.

    Raises:
        ConfigError: names the key and the target.
    """
    for key, target in _leaves(OmegaConf.to_container(cfg, resolve=True)):
        if key.rpartition(".")[2] == _TARGET and target not in known_targets(folder):
            raise ConfigError(Setting(key, target), _REFUSED)


def apply_typed(cfg: DictConfig, typed: Typed, reads: Sequence[str] = ("data", "model"), folder: Path = CONF) -> None:
    """Replace the files that the run names by those that were typed. Refuse the user's own network, files and folders
    that were not typed.

    Args:
        cfg: config composed for a tracked run; changed in place.
        typed: settings that the user has typed.
        reads: sections whose files will be read.
        folder: the config tree, whose own classes and files are trusted.

    Raises:
        ConfigError: a name that was not typed (with the setting to type), or a key that the run does not have.
    """
    plain = OmegaConf.to_container(cfg, resolve=True)
    for key, value in typed.values.items():
        value_of_run = _select(plain, key)
        if value_of_run is None:
            raise ConfigError(
                Setting(key, quote_value(value)), "the run has none", "leave it out, or give a run that has it"
            )
        if key in ("model.target", "model.args") and value != value_of_run:
            raise ConfigError(
                Setting(key, value), f"the run has {value_of_run}", "use that, or give a run with this value"
            )
    users_class = _select(plain, "model.target")
    missing = []
    if users_class is not None and users_class != typed.target and users_class not in known_targets(folder):
        missing.append("model.target")
    missing += _untyped(plain, typed, reads, folder)
    if missing:
        keys = sorted(set(missing), key=TYPED.index)
        overrides = [f"{key}={quote_value(_select(plain, key))}" for key in keys]
        typed_again = " ".join(
            override if _ONE_WORD.fullmatch(override) else shell_quote(override) for override in overrides
        )
        problems = []
        if users_class and "model.target" in missing:
            problems.append("code that is named only in the tracking store is not run")
        if set(missing) - {"model.target"}:
            problems.append("files named only in the tracking store are not read")
        raise ConfigError(
            " ".join(overrides),
            ", and ".join(problems),
            f"if it is your own, type it: {typed_again}",
        )
    for key, value in typed.values.items():
        OmegaConf.update(cfg, key, value)


def _untyped(plain: Any, typed: Typed, reads: Sequence[str], folder: Path) -> Iterator[str]:
    """Return the keys of `TYPED` whose files were not typed again."""
    for key, value in _leaves(plain):
        section = key.split(".")[0]
        if section not in _READ or (section in ("data", "model") and section not in reads):
            continue
        typed_key = next(
            (candidate for candidate in TYPED if key == candidate or key.startswith(f"{candidate}.")), None
        )
        if typed_key in typed.values or not _names_file(key, value) or value in named_files(folder):
            continue
        if typed_key is None:
            raise ConfigError(
                Setting(key, value), "a file that is named only in the tracking store is not read", "name it in conf/"
            )
        yield typed_key


def _names_file(key: str, value: Any) -> bool:
    """Return whether a value names a file or folder, by its key or its form."""
    names = [part for part in key.split(".") if not part.isdigit()]
    if not isinstance(value, str) or names[-1] in (_TARGET, *_TEXTS) or value in _MADE.get(key, ()):
        return False
    if names[-1] in _PATH_KEYS or "/" in value or value.startswith("~"):
        return True
    return names[:2] == ["model", "args"] and is_path(value)


@functools.cache
def known_targets(folder: Path = CONF) -> frozenset[str]:
    """Return all targets in the YAML files of a config tree, and the user's classes that its model files name."""
    users_classes = {str(file["target"]) for file in _files(folder) if isinstance(file, dict) and file.get("target")}
    return frozenset(
        users_classes | {str(v) for f in _files(folder) for k, v in _leaves(f) if k.rpartition(".")[2] == _TARGET}
    )


@functools.cache
def named_files(folder: Path = CONF) -> frozenset[str]:
    """Return all files and folders that the YAML files of a config tree name."""
    return frozenset(value for file in _files(folder) for key, value in _leaves(file) if _names_file(key, value))


@functools.cache
def _files(folder: Path) -> tuple[Any, ...]:
    return tuple(yaml.safe_load(path.read_text(encoding="utf-8")) for path in folder.rglob("*.yaml"))


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    if children is None:
        yield key, node
        return
    for name, child in children:
        yield from _leaves(child, f"{key}.{name}".lstrip("."))


def _select(plain: Any, key: str) -> Any:
    for name in key.split("."):
        plain = plain.get(name) if isinstance(plain, dict) else None
    return plain
