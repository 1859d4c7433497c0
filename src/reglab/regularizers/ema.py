"""Exponential moving average: what is evaluated and kept is a running mean of the weights."""

from typing import Any, ClassVar

import pytorch_lightning as pl

from reglab.regularizers._averaging import Averaging
from reglab.regularizers._order import AVERAGE
from reglab.regularizers.base import Regularizer
from reglab.schema.strength import probability


def newest_share(decay: float, steps: int) -> float:
    """The share of the newest weights in the mean, where those of each step count `decay` times the ones after it.

    With m = 0 at the start and m ← decay · m + (1 - decay) · w after each step, the mean is m / (1 - decay^steps): the
    initial weights have no share in it, however few the steps are (Polyak and Juditsky 1992, "Acceleration of
    Stochastic Approximation by Averaging"; the correction is that of Kingma and Ba 2015, "Adam"). As a recursion:
    mean ← mean + newest_share · (w - mean).

    Args:
        decay: at least 0 and below 1; at 0 the share is exactly 1.
        steps: at least 1, the newest included.

    Returns:
        Above 0 and at most 1.
    """
    return (1 - decay) / (1 - decay**steps)


class EMA(Regularizer):
    """Validation, best weights, saved weights and the test use the mean; training goes on with the weights themselves.

    Running statistics of normalizations are recomputed for it, see `Averaging`.

    Args:
        decay: at least 0 and below 1; 0 is off.
    """

    decay = probability(0.99, 0.99, 0.9999, effect="averaged weights")
    memory_traffic: ClassVar = 3.0  # w and mean in, mean out
    order: ClassVar = AVERAGE
    stackable: ClassVar = "it is a callback of the Trainer, which watches one run"

    def callbacks(self) -> list[Any]:
        return [ExponentialAverage(self)]


class ExponentialAverage(Averaging):
    """The mean of all steps so far, the late ones first.

    Args:
        method: its decay is read at the start of each epoch: reading it at each step would make a GPU wait.
    """

    def __init__(self, method: EMA) -> None:
        super().__init__(method)
        self._method = method

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reads the decay; while it is off, there is no mean, and so no statistics are recomputed either."""
        self._decay = float(self._method.decay)
        if self._decay == EMA.decay.off:
            self.forget()

    def share(self, step: int) -> float | None:
        return newest_share(self._decay, self.steps + 1) if self._decay else None
