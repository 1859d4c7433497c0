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


def check_targets(cfg: DictConfig, own: str | None = None, folder: Path = CONF) -> None:
    """Refuses a class or function that no file of the project's config tree names, wherever in the config it stands.

    Args:
        cfg: what a tracked run was composed from.
        own: the user's own class that whoever asks for the run has typed, and so means to be run.
        folder: the config tree.

    Raises:
        ConfigError: names the key and the target.
    """
    plain = OmegaConf.to_container(cfg, resolve=True)
    for key, target in _targets(plain):
        if target not in known(folder):
            raise ConfigError(f"{key}={target}: {_REFUSED}")
    model = plain.get("model") if isinstance(plain, dict) else None
    there = model.get("target") if isinstance(model, dict) else None
    if own is not None and own != there:
        told = "has none; leave it out" if there is None else f"has {there}; name that"
        raise ConfigError(f"model.target={own}: the run {told}, or give a run that has it")
    if there is not None and there != own and there not in known(folder):
        raise ConfigError(
            f"model.target={there}: code that only a tracker names is not run; if it is your own, name it too: "
            f"model.target={there}"
        )


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
