"""Regularizers that a config selects, the name of its strategy, and strengths without a regularizer."""

import re
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from reglab.schema.errors import ConfigError, Setting
from reglab.schema.index import declaration

_EMPTY = re.compile(r"[\w.]+=\s*\{\s*\}\s*")


def selected_regularizers(cfg: DictConfig) -> set[str]:
    """Return the names of the regularizers that a config selects: those of sections with ``_target_``."""
    nodes = cfg.get("regularizer")
    if not isinstance(nodes, DictConfig):
        return set()
    return {
        str(name)
        for name in nodes
        if not str(name).startswith("_") and _is_section(nodes, name) and "_target_" in nodes[name]
    }


def remove_stray_strengths(cfg: DictConfig, overrides: Sequence[str] = ()) -> None:
    """Remove, in place, the strengths that an experiment file sets for a regularizer that was replaced.

    ``experiment=seed_l2 regularizer=none`` leaves a strength of l2 behind. One that the user typed stays, and
    `reglab.config.check_run` refuses it.

    Raises:
        ConfigError: the user deletes a part of a strategy, whose name would still contain it.
    """
    for override in overrides:
        if override.startswith("~regularizer."):
            raise ConfigError(
                Setting.of(override), "removes a regularizer from a strategy", "choose a strategy without it"
            )
    nodes = cfg.get("regularizer")
    if not OmegaConf.is_dict(nodes):
        return
    typed = {override.lstrip("+").split("=")[0].split(".")[1] for override in overrides if is_strength(override)}
    for name in [str(key) for key in nodes]:
        strengths = _is_section(nodes, name)  # anything else was typed where a section is required
        if strengths and not name.startswith("_") and name not in typed and name not in selected_regularizers(cfg):
            with open_dict(nodes):
                del nodes[name]


def _is_section(nodes: DictConfig, name: Any) -> bool:
    """Return whether a node is a section, without resolving interpolations."""
    return not OmegaConf.is_interpolation(nodes, name) and isinstance(nodes.get(name), DictConfig)


def open_study_section(override: str) -> str:
    """Return an override of `study.common` or `study.space` with ``++``, since these accept any key of a run.

    Raises:
        ConfigError: a section is set to an empty mapping, which Hydra ignores.
    """
    if not override.startswith(("study.common", "study.space")):
        return override
    if _EMPTY.fullmatch(override):
        key = override.split("=")[0]
        raise ConfigError(
            Setting.of(override),
            f"is empty, which leaves {key} unchanged",
            f"give it keys, or set {key}=null",
        )
    return f"++{override}"


def is_strength(override: str) -> bool:
    """Return whether an override sets ``regularizer.<name>.<strength>``."""
    key = override.lstrip("+").split("=")[0]
    return key.startswith("regularizer.") and key.count(".") >= 2 and not key.startswith("regularizer._")


def regularizer_of(override: str) -> str | None:
    """Return the regularizer whose strength an override sets; None if it sets none."""
    return override.lstrip("+").split("=")[0].split(".")[1] if is_strength(override) else None


def strategy(cfg: DictConfig) -> str:
    """Return the name of a config's strategy: its regularizers in the order in which they act, ``dropout+max_norm``.

    Raises:
        ConfigError: a regularizer's class cannot be found, or does not declare its `order`.
    """
    ordered = sorted((_order(name, str(cfg.regularizer[name]._target_)), name) for name in selected_regularizers(cfg))
    return "+".join(name for _, name in ordered) or "none"


def _order(name: str, target: str) -> float:
    key = f"regularizer.{name}._target_"
    order = declaration(target, key).get("order")
    if order is None:
        raise ConfigError(
            Setting(key, target),
            "does not declare the order in which it acts",
            "set its class variable order to a constant of reglab.regularizers._order",
        )
    return float(order)
