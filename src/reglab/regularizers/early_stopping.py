"""Early stopping: training ends when validation has not improved for some time."""

import math
from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping as LightningsEarlyStopping

from reglab.regularizers._order import STOPPING
from reglab.regularizers.base import Regularizer
from reglab.schema.constraints import Constraints, Nullable, OneOf
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import METRICS, direction_of
from reglab.schema.strength import Search, Strength


class EarlyStopping(Regularizer):
    """Ends training after `patience` evaluations in a row without a better ``val/loss``; an equal one is not better.

    Prechelt 1998, "Early Stopping - But When?". The best weights, those of the lowest ``val/loss``, are kept under
    every strategy; this one saves the rest of the training, and looks at validation labels for it.

    Args:
        patience: a whole number of evaluations, at least 1; infinity is off.
        monitor: tracked name of the validation metric; None: ``val/loss``.
    """

    patience = Strength(10.0, Search(5.0, 20.0), minimum=1.0, off=math.inf, whole=True, effect="early stopping")
    order: ClassVar = STOPPING
    monitors_validation: ClassVar = True
    stackable: ClassVar = "it is a callback of the Trainer, and the runs of a stack would end at different steps"

    constraints: ClassVar[Constraints] = {"monitor": Nullable(OneOf(*(f"val/{name}" for name in METRICS)), "val/loss")}

    def __init__(self, *values: float, monitor: str | None = None, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self.monitor = monitor or "val/loss"

    def acts_within(self, steps: int, evaluations: int) -> bool:
        return float(self.patience) + 1 < evaluations  # one that improves, then so many; after the last it is over

    def callbacks(self) -> list[Any]:
        return [Patience(self)]


class Patience(LightningsEarlyStopping):
    """Lightning's, by evaluations and with the method's patience.

    What is not finite is left to `reglab.training.Module`, which says at which step a loss stopped being so.
    """

    def __init__(self, method: EarlyStopping) -> None:
        super().__init__(
            method.monitor,
            mode=direction_of(method.monitor) or "min",
            check_finite=False,
            check_on_train_epoch_end=False,
        )
        self._method = method

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A training that had ended is not resumed.

        Raises:
            ConfigError: what is evaluated are training rows alone.
        """
        if getattr(pl_module, "parts", None) == ("train",):
            raise ConfigError(
                Setting("regularizer", "early_stopping"),
                "acts on val/loss, and there are no validation rows",
                "raise data.val_fraction",
            )
        if self.wait_count >= float(self._method.patience):
            trainer.should_stop = True

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Counts an evaluation; the patience is what the config and its schedule say, not what a checkpoint holds."""
        self.patience = float(self._method.patience)  # type: ignore[assignment]
        super().on_validation_end(trainer, pl_module)
