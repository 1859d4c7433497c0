"""Early stopping: training ends when a validation metric has not improved for some evaluations."""

import math
from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping as LightningsEarlyStopping

from reglab.regularizers._order import STOPPING
from reglab.regularizers.base import Regularizer
from reglab.schema.constraints import Constraints, Nullable
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import METRICS, MetricName, direction_of
from reglab.schema.strength import Search, Strength


class EarlyStopping(Regularizer):
    """End training after `patience` consecutive evaluations without a better ``val/loss``; equal is not better.

    Prechelt 1998, "Early Stopping - But When?". The weights with the lowest ``val/loss`` are selected under every
    strategy; this one saves the rest of the training, at the cost of using validation labels.

    Args:
        patience: a whole number of evaluations, at least 1; infinity is off.
        monitor: tracked name of the validation metric, also of one label (``val/auroc/happy``); None: ``val/loss``.
    """

    patience = Strength(10.0, Search(5.0, 20.0), minimum=1.0, off=math.inf, whole=True, effect="early stopping")
    order: ClassVar = STOPPING
    monitors_validation: ClassVar = True
    stackable: ClassVar = "it is a callback of the Trainer, and the runs of a stack would end at different steps"

    constraints: ClassVar[Constraints] = {
        "monitor": Nullable(MetricName(*(f"val/{name}" for name in METRICS)), "val/loss")
    }

    def __init__(self, *values: float, monitor: str | None = None, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self.monitor = monitor or "val/loss"

    def acts_within(self, steps: int, evaluations: int) -> bool:
        # One evaluation that improves, then `patience` without, and one more that is saved.
        return float(self.patience) + 1 < evaluations

    def callbacks(self) -> list[Any]:
        return [Patience(self)]


class Patience(LightningsEarlyStopping):
    """Lightning's EarlyStopping on evaluations, with the patience of the method.

    Losses that are not finite are reported by `reglab.training.Module`, with the step.
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
        """Stop if the patience was exhausted before training was resumed.

        Raises:
            ConfigError: there are no validation rows.
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
        """Count an evaluation, with the patience of the config and its schedule instead of that in a checkpoint.

        Raises:
            ConfigError: the metric is not defined on the validation rows, such as AUROC where all have one class.
        """
        if not trainer.sanity_checking and self.monitor not in trainer.callback_metrics:
            raise ConfigError(
                Setting("regularizer.early_stopping.monitor", self.monitor),
                "is not defined on the validation rows, which all have the same class or label",
                "raise data.val_fraction, or choose another metric",
            )
        self.patience = float(self._method.patience)  # type: ignore[assignment]
        super().on_validation_end(trainer, pl_module)
