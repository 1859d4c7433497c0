"""Exponential moving average of the weights, for evaluation and for the saved model."""

from typing import Any, ClassVar

import pytorch_lightning as pl

from reglab.regularizers._averaging import Averaging
from reglab.regularizers._order import AVERAGE
from reglab.regularizers.base import Regularizer
from reglab.schema.strength import probability


def newest_share(decay: float, steps: int) -> float:
    """Return the share of the newest weights in the bias-corrected exponential moving average.

    With m = 0 at the start and m ← decay · m + (1 - decay) · w after each step, the average is m / (1 - decay^steps),
    to which the initial weights do not contribute (Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation
    by Averaging"; the correction is that of Kingma and Ba 2015, "Adam"). As a recursion: average ← average +
    newest_share · (w - average).

    Args:
        decay: at least 0 and below 1; at 0 the share is exactly 1.
        steps: number of averaged steps including the newest, at least 1.

    Returns:
        Above 0 and at most 1.
    """
    return (1 - decay) / (1 - decay**steps)


class EMA(Regularizer):
    """Use the average for validation, the choice of the best weights, saving and the test; train with the weights.

    Running statistics of normalizations are recomputed for the average, see `Averaging`.

    Args:
        decay: at least 0 and below 1; 0 is off.
    """

    decay = probability(0.99, 0.99, 0.9999, effect="averaged weights")
    memory_traffic: ClassVar = 3.0  # w and mean in, mean out
    order: ClassVar = AVERAGE
    stackable: ClassVar = "it is a callback of the Trainer, which trains one run"

    def callbacks(self) -> list[Any]:
        return [ExponentialAverage(self)]


class ExponentialAverage(Averaging):
    """Exponential moving average of the weights after all steps.

    Args:
        method: regularizer whose decay is read once an epoch; reading it in each step would synchronize the GPU.
    """

    def __init__(self, method: EMA) -> None:
        super().__init__(method)
        self._method = method

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the decay; while it is off there is no average."""
        self._decay = float(self._method.decay)
        if self._decay == EMA.decay.off:
            self.reset()

    def share(self, step: int) -> float | None:
        return newest_share(self._decay, self.steps + 1) if self._decay else None
