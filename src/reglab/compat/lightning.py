"""Private parts of Lightning."""

import pytorch_lightning as pl

HOOK_NAME = "_current_fx_name"
"""The attribute of a LightningModule that Lightning sets to the name of each hook, some 50 times a step."""


def is_compiled(module: pl.LightningModule) -> bool:
    """Return whether Lightning replaced the module's steps by those of ``torch.compile(module)``.

    The Trainer unwraps such a module, after which no attribute of torch marks it as compiled.
    """
    return getattr(module, "_compiler_ctx", None) is not None


def load_loader_states(trainer: pl.Trainer) -> None:
    """Load the state of the training loaders from the checkpoint that the Trainer resumes from.

    Lightning does so when it sets up the loaders. If a scheduler asks for ``trainer.estimated_stepping_batches``, that
    happens before the checkpoint is read, and the loaders start at their first batch. Does nothing if no state is left.
    """
    trainer.fit_loop._load_combined_loader_states()
