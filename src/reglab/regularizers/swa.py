"""Stochastic weight averaging: the mean of late weights is evaluated and saved."""

import math
from typing import Any, ClassVar

import pytorch_lightning as pl

from reglab.regularizers._averaging import Averaging
from reglab.regularizers._order import AVERAGE
from reglab.regularizers.base import Regularizer
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.strength import Search, Strength


def skipped(start: float, steps: int) -> int:
    """Return the number of steps before the averaging: start · steps, rounded to the nearest integer.

    Args:
        start: share of the steps, from 0 (all steps are averaged) to 1 (none is).
        steps: number of steps of the training.
    """
    return math.floor(start * steps + 0.5)


class SWA(Regularizer):
    """Evaluate, save and test the arithmetic mean of the weights after every late step.

    Izmailov et al. 2018, "Averaging Weights Leads to Wider
    Optima and Better Generalization", average one set of weights per epoch, as torch and Lightning do; averaging
    each step also works if training lasts one epoch or ends within an epoch. Before the first late step the weights
    themselves are evaluated. Running statistics of normalizations are recomputed for the mean, see `Averaging`.

    Args:
        start: share of the training's steps before the averaging, from 0 to 1; 1 is off.
    """

    start = Strength(0.75, Search(0.5, 0.95), maximum=1.0, off=1.0, effect="averaged weights")
    order: ClassVar = AVERAGE
    conflicts: ClassVar = {"ema": "both replace the weights by an average"}
    stackable: ClassVar = "it is a callback of the Trainer, which trains one run"

    def callbacks(self) -> list[Any]:
        return [LateAverage(self)]


class LateAverage(Averaging):
    """Arithmetic mean of the weights after late steps.

    Args:
        method: regularizer whose `start` is read at the start of each epoch.
    """

    def __init__(self, method: SWA) -> None:
        super().__init__(method)
        self._method = method
        self._total = 0  # steps of the training
        self.first = 0  # first averaged step
        self._skipped = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Discard the mean of a shorter training that is resumed if its steps precede the averaging in this one.

        Raises:
            ConfigError: the number of steps is unknown.
        """
        total = trainer.estimated_stepping_batches
        if math.isinf(total) or total < 0:
            raise ConfigError(
                Setting("regularizer", "swa"),
                "start is a share of the training, whose length is unknown",
                "set max_epochs",
            )
        changed, self._total = self._total != total, int(total)
        super().on_train_start(trainer, pl_module)
        if changed and self.first <= self._skipped:
            self.reset()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the start; if it is off, discard the mean."""
        start = float(self._method.start)
        self._skipped = skipped(start, self._total)
        if start == SWA.start.off:
            self.reset()

    def share(self, step: int) -> float | None:
        if step <= self._skipped:
            return None
        if not self.steps:
            self.first = step
        return 1 / (self.steps + 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the mean, its first step and the number of steps of the training."""
        return {**super().state_dict(), "first": self.first, "total": self._total}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state that `state_dict` returned."""
        super().load_state_dict(state_dict)
        self.first, self._total = state_dict["first"], state_dict["total"]
