"""The files of a run: config, overrides, environment, weights."""

import json
from collections.abc import Mapping, Sequence

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import save_file
from torch import Tensor

from reglab.config.environment_variables import recorded_variables
from reglab.config.identity import code
from reglab.masking import redact, redact_uris
from reglab.schema.text import quote_value
from reglab.tracking.environment import environment
from reglab.tracking.run import TrackedRun


def log_recipe(tracked: TrackedRun, cfg: DictConfig, overrides: Sequence[str]) -> None:
    """What is needed to run it again, without secrets: ``config.yaml``, ``overrides.yaml``, ``environment.json``."""
    tracked.log_text(redact(OmegaConf.to_yaml(cfg, resolve=True)), "config.yaml")
    tracked.log_text(
        yaml.safe_dump(redact_uris(as_kept(overrides, cfg)), allow_unicode=True, width=4096), "overrides.yaml"
    )
    described = environment(cfg.trainer.accelerator, recorded_variables()) | {"code": code(cfg).modules}
    tracked.log_text(json.dumps(described, indent=2, sort_keys=True), "environment.json")


def as_kept(overrides: Sequence[str], cfg: DictConfig) -> list[str]:
    """Overrides from which the run can be composed again: with values in the place of interpolations, without Hydra's
    own settings."""
    kept = []
    for override in overrides:
        key, equals, value = override.partition("=")
        name = key.lstrip("+~")
        if name.split(".")[0].split("/")[0] == "hydra":
            continue
        if "${" in value and OmegaConf.select(cfg, name) is not None:
            node = OmegaConf.select(cfg, name)
            value = quote_value(OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node)
        kept.append(f"{key}{equals}{value}")
    return kept


def log_weights(tracked: TrackedRun, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
    """``weights/<name>.safetensors`` for each state dict of the plain model."""
    if not weights:
        return
    with tracked.folder("weights") as folder:
        for name, state in weights.items():
            # Copies, for safetensors refuses tensors that share their memory, as tied embeddings do.
            plain = {
                key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for key, tensor in state.items()
            }
            save_file(plain, folder / f"{name}.safetensors")
