"""Base class of methods that evaluate and save an average of the weights."""

import copy
import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from reglab.compat.torch import lerp_
from reglab.regularizers._norms import recompute_statistics, running_statistics
from reglab.regularizers._wrapper import UpdateCounter
from reglab.regularizers.base import Regularizer
from reglab.schema.errors import ConfigError, Setting


class Averaging(pl.Callback):
    """Average the weights; the average replaces them in validation and at the end of training.

    Training continues with the weights themselves. Checkpoints contain the weights and, as this callback's state, the
    average. Before the first step is averaged, the weights are evaluated.

    Running statistics of normalizations depend on the weights under which they were computed, so they are recomputed
    from the training rows for the average. Averaging them as well would be wrong: they lag some steps behind the
    weights, and their initial values, which belong to no weights, would remain in the average of a short training.

    Works on any LightningModule: its parameters are averaged, and if it has running statistics it is called with the
    inputs of the training batches, ``module(inputs)``.

    Args:
        method: the regularizer that adds this callback.
    """

    def __init__(self, method: Regularizer) -> None:
        self._name = method.name
        self.average: list[Tensor] = []
        self.steps = 0  # averaged so far
        self._weights: list[Tensor] = []
        self._latest_step = 0  # latest step of the Trainer that was processed
        self._replaced: list[tuple[Tensor, Tensor]] = []  # parameters and buffers, with their values in training
        self._statistics: list[Tensor] = []
        self._statistics_of = 0  # number of averaged steps for which the statistics were computed

    def share(self, step: int) -> float | None:
        """Return the weight of the parameters after this step (from 1) in the new average; None to leave them out."""
        raise NotImplementedError

    def reset(self) -> None:
        """Discard the average."""
        self.average, self.steps, self._statistics_of = [], 0, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the average of a checkpoint to the device of the weights, and restore the weights after an earlier fit.

        Raises:
            ConfigError: there are running statistics to recompute, but the module defines no forward.
        """
        if running_statistics(pl_module) and type(pl_module).forward is pl.LightningModule.forward:
            raise ConfigError(
                Setting("regularizer", self._name),
                "recomputes the statistics of batch normalization, and the module has no forward",
                "define forward(inputs)",
            )
        self._latest_step = trainer.global_step
        self._update_counters = [UpdateCounter(optimizer) for optimizer in trainer.optimizers]
        self._counted_updates = 0
        self._put_weights_back()
        self._begin(pl_module)
        self.on_train_epoch_start(trainer, pl_module)

    def _begin(self, pl_module: pl.LightningModule) -> None:
        self._weights = list(pl_module.parameters())
        self.average = [mean.to(weight.device) for mean, weight in zip(self.average, self._weights, strict=False)]

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        """Check that the inputs for recomputed statistics can be read from the batch.

        Raises:
            ConfigError: the batch is neither a tensor nor a sequence that begins with one.
        """
        if index == 0 and running_statistics(pl_module):
            self._inputs(batch)

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Add the weights of a step to the average, after the changes by other regularizers."""
        if trainer.global_step == self._latest_step:  # gradients of several batches make one step
            return
        self._latest_step = trainer.global_step
        updated = sum(updates.count for updates in self._update_counters)
        if updated == self._counted_updates and all(updates.countable for updates in self._update_counters):
            return  # a GradScaler skipped the step
        self._counted_updates = updated
        share = self.share(self._latest_step)
        if share is None:
            return
        self.steps += 1
        if self.average:
            lerp_(self.average, self._weights, share)
        else:
            self.average = [weight.detach().clone() for weight in self._weights]

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace the weights by the average for validation and for the choice of the best weights."""
        self._put_average_in_place(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the weights for training."""
        if trainer.state.fn == "fit":
            self._put_weights_back()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average in place of the weights."""
        self._put_average_in_place(trainer, pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average in place also after resuming a finished training, where no other hook is called."""
        if not self._weights:
            self._begin(pl_module)
        self._put_average_in_place(trainer, pl_module)

    @torch.no_grad()
    def _put_average_in_place(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._replaced or not self.average or not self._weights:  # no weights yet: the sanity check of validation
            return
        statistics = running_statistics(pl_module)
        self._replaced = [(tensor, tensor.detach().clone()) for tensor in [*self._weights, *statistics]]
        for weight, mean in zip(self._weights, self.average, strict=True):
            weight.copy_(mean)
        if not statistics:
            return
        if self._statistics_of != self.steps:
            # Shuffling draws from the global generator, whose state the regularizers use.
            with torch.random.fork_rng(devices=[]), trainer.precision_plugin.forward_context():
                recompute_statistics(pl_module, self._training_inputs(trainer))
            self._statistics = [statistic.clone() for statistic in statistics]
            self._statistics_of = self.steps
        for statistic, recomputed in zip(statistics, self._statistics, strict=True):
            statistic.copy_(recomputed)

    @torch.no_grad()
    def _put_weights_back(self) -> None:
        for tensor, value in self._replaced:
            tensor.copy_(value)
        self._replaced = []

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Any) -> None:
        """Save the weights in training if the average is in their place."""
        values = {id(tensor): value for tensor, value in self._replaced}
        for named in (pl_module.named_parameters, pl_module.named_buffers):
            for name, tensor in named(remove_duplicate=False):
                if id(tensor) in values:
                    checkpoint["state_dict"][name] = values[id(tensor)]

    def state_dict(self) -> dict[str, Any]:
        """Return the average in the order of the parameters, its number of steps, and its latest statistics."""
        return {
            "average": self.average,
            "steps": self.steps,
            "statistics": self._statistics,
            "statistics_of": self._statistics_of,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state that `state_dict` returned."""
        self.average, self.steps = [mean.clone() for mean in state_dict["average"]], state_dict["steps"]
        # Recomputed from rows in another order they would differ in the last bits.
        self._statistics = [statistic.clone() for statistic in state_dict["statistics"]]
        self._statistics_of = state_dict["statistics_of"]

    def _training_inputs(self, trainer: pl.Trainer) -> Iterator[Tensor]:
        """Yield the inputs of one epoch, from a copy of the loader so that the order of the next epoch is kept."""
        batches = trainer.num_training_batches
        loader: Any = copy.copy(trainer.train_dataloader)
        for batch in islice(loader, None if math.isinf(batches) else int(batches)):
            yield self._inputs(trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(batch)))

    def _inputs(self, batch: Any) -> Tensor:
        inputs = batch[0] if isinstance(batch, list | tuple) else batch
        if not isinstance(inputs, Tensor):
            raise ConfigError(
                Setting("regularizer", self._name),
                f"recomputes the statistics of batch normalization, and a training batch is a {type(batch).__name__}",
                "make it (inputs, ...)",
            )
        return inputs
