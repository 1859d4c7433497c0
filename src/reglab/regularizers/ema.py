"""Exponential moving average: what is evaluated and kept is a running mean of the weights."""

from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from reglab.regularizers._order import AVERAGE
from reglab.regularizers.base import BELOW_1, Regularizer


def averaged(average: Tensor, weight: Tensor, decay: Tensor, steps: int) -> Tensor:
    """The mean of the weights after each of `steps` steps, where each counts `decay` times the one after it.

    With m = 0 at the start and m ← decay · m + (1 - decay) · w after each step, it is m / (1 - decay^steps): the
    initial weights have no share in it, however few the steps are (Polyak and Juditsky 1992, "Acceleration of
    Stochastic Approximation by Averaging"; the correction is that of Kingma and Ba 2015, "Adam"). At decay = 0 it is
    `weight` itself, bit for bit.

    Args:
        average: the mean before this step, of any shape; what it holds before the first does not matter.
        weight: of the same shape, after this step.
        decay: 0-dim, at least 0 and below 1.
        steps: at least 1, this one included.
    """
    share = (1 - decay.double()) / (1 - decay.double() ** steps)
    return torch.lerp(average, weight, share.to(average.dtype))


class EMA(Regularizer):
    """Validation, best weights, saved weights and the test use the mean; training goes on with the weights themselves.

    Buffers, such as the running statistics of batch normalization, are those of the model in training.

    Args:
        decay: at least 0 and below 1; 0 is off.
    """

    off: ClassVar = {"decay": 0.0}
    bounds: ClassVar = {"decay": (0.0, BELOW_1)}
    acts: ClassVar = AVERAGE
    effects: ClassVar = {"decay": "averaged weights"}
    stackable: ClassVar = "it is a callback of the Trainer, which watches one run"
    decay: Tensor

    def __init__(self, decay: float) -> None:
        super().__init__(decay=decay)

    def callbacks(self) -> list[Any]:
        return [Average(self)]


class Average(pl.Callback):
    """Keeps the mean, and puts it in the place of the weights while they are looked at and when training is over.

    Checkpoints hold the weights in training and, as this callback's state, the mean.
    """

    def __init__(self, method: EMA) -> None:
        self._method = method
        self.average: list[Tensor] = []
        self.steps = 0
        self._seen = 0  # the Trainer's step that is in the mean
        self._held: dict[nn.Parameter, Tensor] = {}  # the weights in training, while the mean is in their place

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The mean of a checkpoint goes to the weights' device; the weights come back from an earlier end."""
        self._seen = trainer.global_step
        self._show_weights()
        self.average = [mean.to(p.device) for mean, p in zip(self.average, pl_module.parameters(), strict=False)]

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Takes the weights of a step in, after what other regularizers did to them."""
        if trainer.global_step == self._seen:  # gradients of several batches make one step
            return
        self._seen = trainer.global_step
        self.steps += 1
        weights = list(pl_module.parameters())
        if not self.average:
            self.average = [weight.detach().clone() for weight in weights]
        for mean, weight in zip(self.average, weights, strict=True):
            mean.copy_(averaged(mean, weight, self._method.decay, self.steps))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation, and the choice of the best weights in it, sees the mean."""
        self._show_mean(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training goes on with the weights."""
        if trainer.state.fn == "fit":
            self._show_weights()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The mean is what training leaves behind."""
        self._show_mean(pl_module)

    @torch.no_grad()
    def _show_mean(self, module: pl.LightningModule) -> None:
        if self._held or not self.average:
            return
        for mean, weight in zip(self.average, module.parameters(), strict=True):
            self._held[weight] = weight.detach().clone()
            weight.copy_(mean)

    @torch.no_grad()
    def _show_weights(self) -> None:
        for parameter, weight in self._held.items():
            parameter.copy_(weight)
        self._held = {}

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Any) -> None:
        """The weights in training, if the mean is in their place."""
        for name, parameter in pl_module.named_parameters(remove_duplicate=False):
            if parameter in self._held:
                checkpoint["state_dict"][name] = self._held[parameter]

    def state_dict(self) -> dict[str, Any]:
        """The mean in the order of the parameters, and the number of steps in it."""
        return {"average": self.average, "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from there."""
        self.average, self.steps = [mean.clone() for mean in state_dict["average"]], state_dict["steps"]
