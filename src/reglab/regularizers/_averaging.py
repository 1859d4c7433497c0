"""A mean of the weights, kept beside them, that is evaluated and saved in their place."""

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
from reglab.regularizers._wrapper import Updates
from reglab.regularizers.base import Regularizer
from reglab.schema.errors import ConfigError, Setting


class Averaging(pl.Callback):
    """Keeps the mean, and puts it in the place of the weights while they are looked at and when training is over.

    Training goes on with the weights themselves, as if there were no mean. Checkpoints hold the weights in training
    and, as this callback's state, the mean. As long as no step is in it, the weights are what is looked at.

    Running statistics of normalizations belong to the weights that they were taken under: for the mean they are made
    anew from the training rows. Averaged with the weights they would not fit: they come some steps late, and begin
    with values of no weights at all, which a mean over a short training keeps.

    It works on any LightningModule: its parameters are averaged, and where it has running statistics it is called with
    the inputs of the training batches, ``module(inputs)``.

    Args:
        method: the regularizer that it belongs to.
    """

    def __init__(self, method: Regularizer) -> None:
        self._name = method.name
        self.average: list[Tensor] = []
        self.steps = 0  # in the mean
        self._weights: list[Tensor] = []
        self._seen = 0  # the Trainer's step that was looked at last
        self._held: list[tuple[Tensor, Tensor]] = []  # what is another now, with its value in training
        self._statistics: list[Tensor] = []
        self._statistics_of = 0  # the steps in the mean that they belong to

    def share(self, step: int) -> float | None:
        """The share of the weights after this step (from 1) in the mean with them; None where they are not in it."""
        raise NotImplementedError

    def forget(self) -> None:
        """Goes back to where no step is in the mean."""
        self.average, self.steps, self._statistics_of = [], 0, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The mean of a checkpoint goes to the weights' device; the weights come back from an earlier end.

        Raises:
            ConfigError: there are running statistics to recompute, and the module cannot be called.
        """
        if running_statistics(pl_module) and type(pl_module).forward is pl.LightningModule.forward:
            raise ConfigError(
                Setting("regularizer", self._name),
                "has to call the module for new statistics of its batch normalization",
                "give it a forward(inputs)",
            )
        self._seen = trainer.global_step
        self._updates = [Updates(optimizer) for optimizer in trainer.optimizers]
        self._updated = 0
        self._show_weights()
        self._begin(pl_module)
        self.on_train_epoch_start(trainer, pl_module)

    def _begin(self, pl_module: pl.LightningModule) -> None:
        self._weights = list(pl_module.parameters())
        self.average = [mean.to(own.device) for mean, own in zip(self.average, self._weights, strict=False)]

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        """Refuses a batch in which inputs for new statistics would not be found.

        Raises:
            ConfigError: it is neither a tensor nor has one in front.
        """
        if index == 0 and running_statistics(pl_module):
            self._inputs(batch)

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Takes the weights of a step in, after what other regularizers did to them."""
        if trainer.global_step == self._seen:  # gradients of several batches make one step
            return
        self._seen = trainer.global_step
        updated = sum(updates.count for updates in self._updates)
        if updated == self._updated and all(updates.known for updates in self._updates):
            return  # a GradScaler skipped the step
        self._updated = updated
        share = self.share(self._seen)
        if share is None:
            return
        self.steps += 1
        if self.average:
            lerp_(self.average, self._weights, share)
        else:
            self.average = [own.detach().clone() for own in self._weights]

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation, and the choice of the best weights in it, sees the mean."""
        self._show_mean(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training goes on with the weights."""
        if trainer.state.fn == "fit":
            self._show_weights()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The mean is what training leaves behind."""
        self._show_mean(trainer, pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Also where a finished training was resumed: Lightning has then left all of it out, its start and end too."""
        if not self._weights:
            self._begin(pl_module)
        self._show_mean(trainer, pl_module)

    @torch.no_grad()
    def _show_mean(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._held or not self.average or not self._weights:  # the last: Lightning tries validation beforehand
            return
        statistics = running_statistics(pl_module)
        self._held = [(own, own.detach().clone()) for own in [*self._weights, *statistics]]
        for own, mean in zip(self._weights, self.average, strict=True):
            own.copy_(mean)
        if not statistics:
            return
        if self._statistics_of != self.steps:
            # What a loader draws to shuffle comes from the global generator, which is the regularizers'.
            with torch.random.fork_rng(devices=[]), trainer.precision_plugin.forward_context():
                recompute_statistics(pl_module, self._training_inputs(trainer))
            self._statistics = [own.clone() for own in statistics]
            self._statistics_of = self.steps
        for own, known in zip(statistics, self._statistics, strict=True):
            own.copy_(known)

    @torch.no_grad()
    def _show_weights(self) -> None:
        for own, value in self._held:
            own.copy_(value)
        self._held = []

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Any) -> None:
        """What training goes on with, if the mean is in its place."""
        held = {id(own): value for own, value in self._held}
        for named in (pl_module.named_parameters, pl_module.named_buffers):
            for name, own in named(remove_duplicate=False):
                if id(own) in held:
                    checkpoint["state_dict"][name] = held[id(own)]

    def state_dict(self) -> dict[str, Any]:
        """The mean in the order of the parameters, the number of steps in it, and the statistics made for it last."""
        return {
            "average": self.average,
            "steps": self.steps,
            "statistics": self._statistics,
            "statistics_of": self._statistics_of,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from there."""
        self.average, self.steps = [mean.clone() for mean in state_dict["average"]], state_dict["steps"]
        # The order of the rows that made them is over, and in another one they would differ in the last bits.
        self._statistics = [known.clone() for known in state_dict["statistics"]]
        self._statistics_of = state_dict["statistics_of"]

    def _training_inputs(self, trainer: pl.Trainer) -> Iterator[Tensor]:
        """One epoch's, from a copy of the loader: a pass over itself would move the order of the next epoch."""
        batches = trainer.num_training_batches
        loader: Any = copy.copy(trainer.train_dataloader)
        for batch in islice(loader, None if math.isinf(batches) else int(batches)):
            yield self._inputs(trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(batch)))

    def _inputs(self, batch: Any) -> Tensor:
        inputs = batch[0] if isinstance(batch, list | tuple) else batch
        if not isinstance(inputs, Tensor):
            raise ConfigError(
                Setting("regularizer", self._name),
                "has to find the inputs for new statistics of batch normalization, and a training batch is a "
                f"{type(batch).__name__}",
                "make it (inputs, ...)",
            )
        return inputs
