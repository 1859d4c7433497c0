"""Record of a run in the tracker: its name, tags, params and files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import save_file
from torch import Tensor

from reglab.config.environment_variables import recorded_variables
from reglab.config.identity import (
    RULE,
    code_of_config,
    config_hash,
    data_name,
    recipe_hash,
    setting_fields,
    setting_hash,
    strategy,
    strategy_code,
)
from reglab.masking import redact, redact_uris
from reglab.schema.text import quote_value
from reglab.tracking.environment import environment, git_commit, git_dirty
from reglab.tracking.run import TrackedRun
from reglab.training.build import to_plain_dict


def run_name(cfg: DictConfig) -> str:
    """Return the name of the run in MLflow: strategy and seed."""
    return f"{strategy(cfg)} seed={cfg.seed}"


def tags(cfg: DictConfig) -> dict[str, str]:
    """Return the tags that the config determines.

    Runs with equal `setting` and `about` may be averaged; `cell` is a readable label of them. `code` has a digest for
    each part of the run's code, and `recipe_hash` is the identity without code: with these a sweep explains why a run
    is not reused. See docs/identity.md.
    """
    tuned = str(cfg.tracking.get("tuned") or "").split(",")
    values = {
        "strategy": strategy(cfg),
        "data": data_name(cfg),
        "model": str(cfg.model.name),
        "seed": str(cfg.seed),
        "split_seed": str(cfg.data.split_seed),
        "label_noise": str(cfg.data.label_noise),
        "cell": arm_label(cfg),
        "config_hash": config_hash(cfg),
        "identity_rule": RULE,
        "recipe_hash": recipe_hash(cfg),
        "code": json.dumps(code_of_config(cfg).parts, sort_keys=True),
        "strategy_code": strategy_code(cfg),
        "setting": setting_hash(cfg, tuned),
        "about": json.dumps(dict(_leaves(setting_fields(cfg, tuned))), sort_keys=True),
        "phase": str(cfg.tracking.phase),
        "git_commit": git_commit() or "unknown",
    }
    if git_dirty():
        values["git_dirty"] = "true"
    for key in ("sweep", "study", "rerun_of"):
        if cfg.tracking.get(key):
            values[key] = str(cfg.tracking[key])
    return values


def arm_label(cfg: DictConfig) -> str:
    """Return a readable label of the task and strategy.

    ``dropout on mnist5k mlp, label_noise 0.4``: strategy, data, model, and settings of the data that
    differ from their defaults.
    """
    details = [f"{name} {cfg.data[name]}" for name in ("train_size", "label_noise") if cfg.data.get(name)]
    details += [f"{key} {cfg.data[key]}" for key in ("test_fold", "val_fold") if cfg.data.get(key) is not None]
    return ", ".join([f"{strategy(cfg)} on {data_name(cfg)} {cfg.model.name}", *details])


def params(cfg: DictConfig) -> dict[str, Any]:
    """Return the params of the run: settings that users filter by, and all strengths."""
    values = {
        "data": data_name(cfg),
        "model": str(cfg.model.name),
        "optimizer": str(cfg.optimizer.name),
        "optimizer.lr": cfg.optimizer.lr,
        "seed": cfg.seed,
    }
    for name, node in to_plain_dict(cfg.regularizer).items():
        if not name.startswith("_"):
            values |= {
                f"regularizer.{name}.{key}": value
                for key, value in _leaves(node)
                if key[0] != "_" and value is not None
            }
    return values


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings with their dotted keys."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node


def log_recipe(tracked: TrackedRun, cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Log the files for a rerun, without secrets: ``config.yaml``, ``overrides.yaml``, ``environment.json``."""
    tracked.log_text(redact(OmegaConf.to_yaml(cfg, resolve=True)), "config.yaml")
    tracked.log_text(
        yaml.safe_dump(redact_uris(recorded_overrides(overrides, cfg)), allow_unicode=True, width=4096),
        "overrides.yaml",
    )
    described = environment(cfg.trainer.accelerator, recorded_variables()) | {"code": code_of_config(cfg).modules}
    tracked.log_text(json.dumps(described, indent=2, sort_keys=True), "environment.json")


def recorded_overrides(overrides: Sequence[str], cfg: DictConfig) -> list[str]:
    """Return overrides that compose the same run: with values instead of interpolations, without settings of Hydra."""
    recorded = []
    for override in overrides:
        key, equals, value = override.partition("=")
        name = key.lstrip("+~")
        if name.split(".")[0].split("/")[0] == "hydra":
            continue
        if "${" in value and OmegaConf.select(cfg, name) is not None:
            node = OmegaConf.select(cfg, name)
            value = quote_value(OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node)
        recorded.append(f"{key}{equals}{value}")
    return recorded


def log_weights(tracked: TrackedRun, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Log each state dict in `weights` as ``weights/<name>.safetensors``."""
    if not weights:
        return
    with tracked.folder("weights") as folder:
        for name, state in weights.items():
            # Copies, because safetensors does not support tensors that share memory, as tied embeddings do.
            plain = {
                key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for key, tensor in state.items()
            }
            save_file(plain, folder / f"{name}.safetensors")
