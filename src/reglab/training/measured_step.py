"""A training step that can be measured outside of training: its model, its regularizers and a function for its loss."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn

from reglab.compat.lightning import takes_batch_index, takes_iterator
from reglab.training.fit import Fit
from reglab.training.repeatability import tensors_of


class UnmeasurableError(Exception):
    """Raised if measured steps do not show whether a regularizer has an effect.

    Args:
        reason: cause, as text.
        this_batch: the cause is the batch, so that the next one may be measurable.
    """

    def __init__(self, reason: str, *, this_batch: bool = False) -> None:
        super().__init__(reason)
        self.this_batch = this_batch


@dataclass(frozen=True)
class MeasuredStep:
    """A training step that can be run with and without a regularizer.

    Attributes:
        model: module to which the regularizers are attached, in the modes of training.
        regularizers: in the order in which they act.
        groups: parameter groups, as in an optimizer.
        state: modules whose state a step may change; it is restored.
        loss: returns the loss of the batch, a scalar, through the regularizers' hooks.
        after_backward: adds gradients that do not come from the loss.
        precision: context of a forward pass outside of `loss`.
    """

    model: nn.Module
    regularizers: Sequence[Any]
    groups: Sequence[Iterable[nn.Parameter]]
    state: Sequence[nn.Module]
    loss: Callable[[], Tensor]
    after_backward: Callable[[], None] = lambda: None
    precision: Callable[[], AbstractContextManager[Any]] = nullcontext


def first_step(fit: Fit, batch: tuple[Tensor, Tensor], rows: int = 8) -> MeasuredStep:
    """Return the first step of a `Fit` on the first rows of a batch (inputs, targets), on the device of the model."""
    device = next(fit.model.parameters()).device
    inputs, targets = (part[:rows].to(device) for part in batch)
    trainable = [parameter for parameter in fit.model.parameters() if parameter.requires_grad]

    def loss() -> Tensor:
        return fit.losses((inputs.clone(), targets.clone()))[0]  # a step may change its batch in place

    return MeasuredStep(fit.model, list(fit.regularizers), [trainable], [fit], loss)


def training_step_loss(trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> Callable[[], Tensor]:
    """Return a function that calls ``training_step`` as Lightning does, without logging, and returns its loss.

    The function raises `UnmeasurableError` if the step returns no loss or takes ``dataloader_iter``. It passes on
    exceptions of the step and of the copy of the batch.

    Args:
        trainer: trainer of the module.
        module: module with the step.
        batch: batch after its transfer; each call receives a copy.
        index: number of the batch in its epoch.
    """
    step = module.training_step

    def loss() -> Tensor:
        if takes_iterator(step):
            raise UnmeasurableError("training_step takes dataloader_iter, whose batches can be read only once")
        arguments = [_copy(batch)]  # a step may change its batch in place
        if takes_batch_index(step):
            arguments.append(index)
        with trainer.precision_plugin.train_step_context(), _without_logging(module):
            output: Any = step(*arguments)
        value: Tensor | None = output["loss"] if isinstance(output, Mapping) else output
        if value is None:
            raise UnmeasurableError("training_step returns no loss for the batch", this_batch=True)
        return value

    return loss


def tensors_with_graph(batch: Any) -> list[Tensor]:
    """Return the tensors of a batch that have an autograd graph, as ``on_after_batch_transfer`` may create them."""
    return [tensor for tensor in tensors_of(batch) if not tensor.is_leaf]


def _copy(batch: Any) -> Any:
    """Return a deep copy; tensors with a graph are detached."""
    return copy.deepcopy(batch, {id(tensor): tensor.detach().clone() for tensor in tensors_with_graph(batch)})


@contextmanager
def _without_logging(module: pl.LightningModule) -> Iterator[None]:
    """Make ``self.log`` and ``self.log_dict`` of the module do nothing within the block."""
    replaced: dict[str, Any] = dict.fromkeys(("log", "log_dict"), lambda *inputs, **options: None)
    vars(module).update(replaced)
    try:
        yield
    finally:
        for name in replaced:
            vars(module).pop(name, None)
