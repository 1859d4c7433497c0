"""The Lightning Trainer of a run, quiet and without what small nets would pay for."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.profilers import PassThroughProfiler

from reglab.config.environment_variables import TRAINER_PREFIX
from reglab.schema.errors import ConfigError, Setting


class _Silent(PassThroughProfiler):
    """Profiles nothing, without making a context manager for each of the 25 things a step is made of."""

    _nothing = nullcontext()

    def profile(self, action_name: str) -> nullcontext[None]:  # type: ignore[override]
        return self._nothing


_OWN = {"threads", "progress", "name"}  # keys of conf/trainer that are not the Trainer's


def make_trainer(settings: Mapping[str, Any], callbacks: list[pl.Callback]) -> pl.Trainer:
    """A Trainer that logs and saves nothing by itself, and reads no settings from the environment.

    It trains in this process alone, whatever cluster (Slurm, torchrun, ...) the process was started on: Lightning would
    take the ranks from the environment.

    Args:
        settings: the config's `trainer` section; what is not reglab's own goes to ``pl.Trainer`` as it is.
        callbacks: the run's own and the regularizers'.

    Raises:
        ConfigError: a GPU is asked for where none is.
    """
    check_accelerator(settings)
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Batches are indexed tensors, not a DataLoader: advice about workers and log intervals is not for them.
    warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
    with _without_variables(TRAINER_PREFIX):
        return pl.Trainer(
            **{key: value for key, value in settings.items() if key not in _OWN},
            devices=1,
            plugins=[LightningEnvironment()],
            logger=False,
            profiler=_Silent(),
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )


def check_accelerator(settings: Mapping[str, Any]) -> None:
    """Refuse a `trainer` section that asks for a GPU if torch can use none.

    Raises:
        ConfigError: names the key.
    """
    if settings.get("accelerator") in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ConfigError(
            Setting("trainer.accelerator", "gpu"), "this machine has no GPU that torch can use", "choose trainer=cpu"
        )


@contextmanager
def _without_variables(prefix: str) -> Iterator[None]:
    """Hides environment variables: Lightning's Trainer takes each argument that it is not given from PL_TRAINER_*."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(prefix)}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _matmul_precision() -> str:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # set by both of torch's ways
        return "mixed"


_FLAGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Any]] = {
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
    """Set torch's global settings that results depend on, whatever an earlier run, a caller or a user's module set.

    The number of threads (it changes the last bits); new tensors in float32, computed in full precision; kernels that
    are not chosen by timing. Denormal numbers are taken as zero: weights that a penalty shrinks for long become
    denormal, and then every step takes several times as long.

    Returns:
        What was another, in words.
    """
    changed = [name for name, (now, _, value) in _FLAGS.items() if now() != value]
    for name in changed:
        _, change, value = _FLAGS[name]
        change(value)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
        changed.append("the number of threads")
    torch.set_flush_denormal(True)
    return changed
