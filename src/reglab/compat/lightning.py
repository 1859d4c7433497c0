"""Private and undocumented parts of Lightning."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature

HOOK_NAME = "_current_fx_name"
"""The attribute of a LightningModule that Lightning sets to the name of each hook, some 50 times a step."""


def is_compiled(module: pl.LightningModule) -> bool:
    """Return whether Lightning replaced the module's steps by those of ``torch.compile(module)``.

    The Trainer unwraps such a module, after which no attribute of torch marks it as compiled.
    """
    return getattr(module, "_compiler_ctx", None) is not None


def takes_iterator(training_step: Callable[..., Any]) -> bool:
    """Return whether Lightning calls a training step with ``dataloader_iter`` in place of a batch."""
    return bool(is_param_in_hook_signature(training_step, "dataloader_iter", explicit=True))


def takes_batch_index(training_step: Callable[..., Any]) -> bool:
    """Return whether Lightning calls a training step with the index of the batch."""
    return bool(is_param_in_hook_signature(training_step, "batch_idx", min_args=2))


def load_loader_states(trainer: pl.Trainer) -> None:
    """Load the state of the training loaders from the checkpoint that the Trainer resumes from.

    Lightning does so when it sets up the loaders. If a scheduler asks for ``trainer.estimated_stepping_batches``, that
    happens before the checkpoint is read, and the loaders start at their first batch. Does nothing if no state is left.
    """
    trainer.fit_loop._load_combined_loader_states()
