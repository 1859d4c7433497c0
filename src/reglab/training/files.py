"""The files of a run: config, overrides, environment, weights."""

import json
from collections.abc import Mapping, Sequence

import torch
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import save_file
from torch import Tensor

from reglab.masking import redact, redact_uris
from reglab.tracking.environment import environment
from reglab.tracking.run import TrackedRun


def log_recipe(tracked: TrackedRun, cfg: DictConfig, overrides: Sequence[str]) -> None:
    """What is needed to run it again, without secrets: ``config.yaml``, ``overrides.yaml``, ``environment.json``."""
    tracked.log_text(redact(OmegaConf.to_yaml(cfg, resolve=True)), "config.yaml")
    tracked.log_text(OmegaConf.to_yaml(OmegaConf.create(redact_uris(overrides))), "overrides.yaml")
    tracked.log_text(json.dumps(environment(cfg.trainer.accelerator), indent=2, sort_keys=True), "environment.json")


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
