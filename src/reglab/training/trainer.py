"""Lightning Trainer of a run, without output and overhead per step, and the global settings of torch."""

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.profilers import PassThroughProfiler

from reglab.config.environment_variables import TRAINER_PREFIX
from reglab.schema.errors import ConfigError, Setting


class _NoProfiler(PassThroughProfiler):
    """Profiler that does nothing and reuses one context manager for the 25 actions of a step."""

    _nothing = nullcontext()

    def profile(self, action_name: str) -> nullcontext[None]:  # type: ignore[override]
        return self._nothing


_OWN_KEYS = {"threads", "progress", "name"}  # keys of conf/trainer that are not the Trainer's


def make_trainer(settings: Mapping[str, Any], callbacks: list[pl.Callback]) -> pl.Trainer:
    """Return a Trainer that neither logs nor saves anything and ignores environment variables.

    It trains in this process alone, also on a cluster (Slurm, torchrun, ...), where Lightning would read ranks from the
    environment.

    Args:
        settings: section `trainer` of the config; keys other than `threads`, `progress` and `name` are passed to
            ``pl.Trainer``.
        callbacks: callbacks of the run and its regularizers.

    Raises:
        ConfigError: the settings require a GPU, and none is available.
    """
    check_accelerator(settings)
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Batches are indexed tensors, not a DataLoader: warnings about workers and log intervals do not apply.
    warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
    with _without_variables(TRAINER_PREFIX):
        return pl.Trainer(
            **{key: value for key, value in settings.items() if key not in _OWN_KEYS},
            devices=1,
            plugins=[LightningEnvironment()],
            logger=False,
            profiler=_NoProfiler(),
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )


def check_accelerator(settings: Mapping[str, Any]) -> None:
    """Check that a GPU is available if the section `trainer` requires one.

    Raises:
        ConfigError: no GPU is available.
    """
    if settings.get("accelerator") in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ConfigError(
            Setting("trainer.accelerator", "gpu"), "this machine has no GPU that torch can use", "choose trainer=cpu"
        )


def max_steps_and_evaluations(cfg: DictConfig, batches: int) -> tuple[int, int]:
    """Return the largest numbers of steps and of evaluations that the section `trainer` allows.

    Args:
        cfg: config of a run.
        batches: training batches of an epoch.
    """
    epochs, max_steps = int(cfg.trainer.max_epochs), int(cfg.trainer.get("max_steps") or -1)
    evaluations = epochs // int(cfg.trainer.get("check_val_every_n_epoch") or 1)
    steps = epochs * math.ceil(batches / int(cfg.trainer.get("accumulate_grad_batches") or 1))
    return steps if max_steps < 0 else min(max_steps, steps), evaluations


@contextmanager
def _without_variables(prefix: str) -> Iterator[None]:
    """Remove environment variables within the block: Lightning reads default arguments of Trainer from PL_TRAINER_*."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(prefix)}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _matmul_precision() -> str:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # it was set by both the old and the new API
        return "mixed"


# By description: the getter, the setter and the value of every run.
_GLOBAL_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Any]] = {
    "the default dtype": (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    "the precision of matrix products": (
        _matmul_precision,
        torch.set_float32_matmul_precision,
        "highest",
    ),
    "cudnn.benchmark": (
        lambda: torch.backends.cudnn.benchmark,
        lambda value: setattr(torch.backends.cudnn, "benchmark", value),
        False,
    ),
    "cudnn.deterministic": (
        lambda: torch.backends.cudnn.deterministic,
        lambda value: setattr(torch.backends.cudnn, "deterministic", value),
        False,
    ),
}


def set_threads(threads: int) -> list[str]:
    """Set the global settings of torch that results depend on, and return descriptions of those that were different.

    These are the number of threads (it affects the last bits), float32 as the default dtype, full precision of matrix
    products, and kernels that are not chosen by timing. Denormal numbers are flushed to zero: weights that a penalty
    shrinks for long become denormal, and steps would take several times as long.
    """
    changed = [name for name, (get, _, value) in _GLOBAL_SETTINGS.items() if get() != value]
    for name in changed:
        _, set_value, value = _GLOBAL_SETTINGS[name]
        set_value(value)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
        changed.append("the number of threads")
    torch.set_flush_denormal(True)
    return changed
