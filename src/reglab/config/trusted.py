"""Which classes a config may name where it comes from a tracker, which others can write to."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from reglab.errors import ConfigError
from reglab.paths import CONF

_TARGET = "_target_"
_REFUSED = "what only a tracker names is not run; give the class a YAML of its own in conf/"


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuses overrides that name a class or function themselves: before they are composed, and errors explained.

    Raises:
        ConfigError: names the override.
    """
    for override in overrides:
        if _TARGET in override:
            raise ConfigError(f"{override}: {_REFUSED}")


def check_targets(cfg: DictConfig, folder: Path = CONF) -> None:
    """Refuses a class or function that no file of the project's config tree names, wherever in the config it stands.

    Raises:
        ConfigError: names the key and the target.
    """
    plain = OmegaConf.to_container(cfg, resolve=True)
    named = [*_targets(plain)]
    if isinstance(plain, dict) and isinstance(plain.get("model"), dict) and "target" in plain["model"]:
        named.append(("model.target", str(plain["model"]["target"])))  # a user's own class
    for key, target in named:
        if target not in known(folder):
            raise ConfigError(f"{key}={target}: {_REFUSED}")


@functools.cache
def known(folder: Path = CONF) -> frozenset[str]:
    """All targets in the YAML files of a config tree."""
    files = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in folder.rglob("*.yaml"))
    return frozenset(target for file in files for _, target in (*_targets(file), *_own(file)))


def _own(file: Any) -> Iterator[tuple[str, str]]:
    """The user's own class that a model's YAML names."""
    if isinstance(file, dict) and file.get("target"):
        yield "target", str(file["target"])


def _targets(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in children:
        where = f"{key}.{name}".lstrip(".")
        if name == _TARGET:
            yield where, str(child)
        yield from _targets(child, where)
