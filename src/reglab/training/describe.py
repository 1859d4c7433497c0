"""How a run is called and labelled: its name, tags and params."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig

from reglab.config.identity import (
    RULE,
    code,
    config_hash,
    data_name,
    recipe_hash,
    setting,
    setting_hash,
    strategy,
    strategy_code,
)
from reglab.tracking.environment import git_commit, git_dirty
from reglab.training.build import plain


def run_name(cfg: DictConfig) -> str:
    """What the UI lists: strategy and seed."""
    return f"{strategy(cfg)} seed={cfg.seed}"


def tags(cfg: DictConfig) -> dict[str, str]:
    """The tags that the config alone gives.

    Runs with equal `setting` and `about` may be averaged; `cell` is the readable form. `code` has a digest for each
    part of the run's code and `recipe_hash` is the identity without code: with these a sweep explains why a run is not
    reused. See docs/identity.md.
    """
    tuned = str(cfg.tracking.get("tuned") or "").split(",")
    named = {
        "strategy": strategy(cfg),
        "data": data_name(cfg),
        "model": str(cfg.model.name),
        "seed": str(cfg.seed),
        "split_seed": str(cfg.data.split_seed),
        "label_noise": str(cfg.data.label_noise),
        "cell": cell(cfg),
        "config_hash": config_hash(cfg),
        "identity_rule": RULE,
        "recipe_hash": recipe_hash(cfg),
        "code": json.dumps(code(cfg).parts, sort_keys=True),
        "strategy_code": strategy_code(cfg),
        "setting": setting_hash(cfg, tuned),
        "about": json.dumps(dict(_leaves(setting(cfg, tuned))), sort_keys=True),
        "phase": str(cfg.tracking.phase),
        "git_commit": git_commit() or "unknown",
    }
    if git_dirty():
        named["git_dirty"] = "true"
    for key in ("sweep", "study", "rerun_of"):
        if cfg.tracking.get(key):
            named[key] = str(cfg.tracking[key])
    return named


def cell(cfg: DictConfig) -> str:
    """``dropout on mnist5k mlp, label_noise 0.4``: strategy, data, model, and the axes of the data that are used."""
    used = [f"{name} {cfg.data[name]}" for name in ("train_size", "label_noise") if cfg.data.get(name)]
    used += [f"{key} {cfg.data[key]}" for key in ("test_fold", "val_fold") if cfg.data.get(key) is not None]
    return ", ".join([f"{strategy(cfg)} on {data_name(cfg)} {cfg.model.name}", *used])


def longest(cfg: DictConfig, batches: int) -> tuple[int, int]:
    """The most steps and evaluations that a run takes with so many batches an epoch."""
    epochs, most = int(cfg.trainer.max_epochs), int(cfg.trainer.get("max_steps") or -1)
    steps = epochs * math.ceil(batches / int(cfg.trainer.get("accumulate_grad_batches") or 1))
    return steps if most < 0 else min(most, steps), epochs // int(cfg.trainer.get("check_val_every_n_epoch") or 1)


def params(cfg: DictConfig) -> dict[str, Any]:
    """The few that people filter on, with every strength."""
    named = {
        "data": data_name(cfg),
        "model": str(cfg.model.name),
        "optimizer": str(cfg.optimizer.name),
        "optimizer.lr": cfg.optimizer.lr,
        "seed": cfg.seed,
    }
    for name, node in plain(cfg.regularizer).items():
        if not name.startswith("_"):
            named |= {
                f"regularizer.{name}.{key}": value
                for key, value in _leaves(node)
                if key[0] != "_" and value is not None
            }
    return named


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node
