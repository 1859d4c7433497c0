"""Stochastic weight averaging: what is evaluated and kept is the mean of the late weights."""

import math
from typing import Any, ClassVar

import pytorch_lightning as pl

from reglab.regularizers._averaging import Averaging
from reglab.regularizers._order import AVERAGE
from reglab.regularizers.base import Regularizer
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.strength import Search, Strength


def skipped(start: float, steps: int) -> int:
    """How many of a training's steps come before the averaging: start · steps, rounded to the nearest.

    Args:
        start: a share, from 0 (the weights after every step are averaged) to 1 (none are).
        steps: of the whole training.
    """
    return math.floor(start * steps + 0.5)


class SWA(Regularizer):
    """Late in training validation and the best weights, and at its end what is saved and tested, are means of weights.

    Arithmetic means, of the weights after every late step. Izmailov et al. 2018, "Averaging Weights Leads to Wider
    Optima and Better Generalization", take one set of weights an epoch, as torch and Lightning do; steps are the same
    path, seen more closely, and mean the same whether a training is one epoch long, has one batch an epoch, or ends
    inside an epoch. Before the first late step everything sees the weights themselves. Running statistics of
    normalizations are recomputed for the mean, see `Averaging`.

    Args:
        start: share of the training's steps before the averaging, from 0 to 1; 1 is off.
    """

    start = Strength(0.75, Search(0.5, 0.95), maximum=1.0, off=1.0, effect="averaged weights")
    order: ClassVar = AVERAGE
    conflicts: ClassVar = {"ema": "both put a mean in the place of the weights"}
    stackable: ClassVar = "it is a callback of the Trainer, which watches one run"

    def callbacks(self) -> list[Any]:
        return [LateAverage(self)]


class LateAverage(Averaging):
    """The mean of the late steps.

    Args:
        method: its start is read at the start of each epoch.
    """

    def __init__(self, method: SWA) -> None:
        super().__init__(method)
        self._method = method
        self._total = 0  # steps of the training that the mean is late in
        self.first = 0  # the first step in it
        self._skipped = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A mean that was late in a shorter training is given up where it would be early in this one.

        Raises:
            ConfigError: the training has no length.
        """
        total = trainer.estimated_stepping_batches
        if math.isinf(total) or total < 0:
            raise ConfigError(
                Setting("regularizer", "swa"), "starts at a share of the training", "give it a length (max_epochs)"
            )
        another, self._total = self._total != total, int(total)
        super().on_train_start(trainer, pl_module)
        if another and self.first <= self._skipped:
            self.forget()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reads the start; where it is off, what was averaged before is no mean of late weights any more."""
        start = float(self._method.start)
        self._skipped = skipped(start, self._total)
        if start == SWA.start.off:
            self.forget()

    def share(self, step: int) -> float | None:
        if step <= self._skipped:
            return None
        if not self.steps:
            self.first = step
        return 1 / (self.steps + 1)

    def state_dict(self) -> dict[str, Any]:
        """The mean, with its place in the training."""
        return {**super().state_dict(), "first": self.first, "total": self._total}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from there."""
        super().load_state_dict(state_dict)
        self.first, self._total = state_dict["first"], state_dict["total"]
