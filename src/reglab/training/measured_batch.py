"""The loss of a LightningModule's ``training_step`` outside of its training, on copies of a batch."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor

from reglab.training.guard import UnmeasurableError
from reglab.training.repeatable import tensors_of


def loss_of(trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> Callable[[], Tensor]:
    """Return a function that takes ``training_step`` with Lightning's arguments, without logging, and returns its loss.

    The function raises `UnmeasurableError` where the step returns no loss or reads its batches itself, and whatever the
    step or the copy of the batch raises.

    Args:
        trainer: of the training.
        module: whose step it is.
        batch: as the step would get it; it gets a copy.
        index: of the batch.
    """
    step = module.training_step

    def loss() -> Tensor:
        if is_param_in_hook_signature(step, "dataloader_iter", explicit=True):
            raise UnmeasurableError("training_step takes dataloader_iter, whose batches can be read only once")
        arguments = [_copied(batch)]  # it may change its batch in place
        if is_param_in_hook_signature(step, "batch_idx", min_args=2):  # as Lightning decides it
            arguments.append(index)
        with trainer.precision_plugin.train_step_context(), _unlogged(module):
            output: Any = step(*arguments)
        made: Tensor | None = output["loss"] if isinstance(output, Mapping) else output
        if made is None:
            raise UnmeasurableError("training_step returns no loss for the batch", this_batch=True)
        return made

    return loss


def with_graph(batch: Any) -> list[Tensor]:
    """Return the tensors of a batch that come with a graph, as on_after_batch_transfer may make them."""
    return [tensor for tensor in tensors_of(batch) if not tensor.is_leaf]


def _copied(batch: Any) -> Any:
    """A deep copy; tensors with a graph are detached."""
    return copy.deepcopy(batch, {id(tensor): tensor.detach().clone() for tensor in with_graph(batch)})


@contextmanager
def _unlogged(module: pl.LightningModule) -> Iterator[None]:
    """``self.log`` and ``self.log_dict`` of the module do nothing."""
    silent: dict[str, Any] = dict.fromkeys(("log", "log_dict"), lambda *inputs, **options: None)
    vars(module).update(silent)
    try:
        yield
    finally:
        for name in silent:
            vars(module).pop(name, None)
