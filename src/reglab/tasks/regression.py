"""Regression: squared error, root mean squared error, R²."""

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional import r2_score

from reglab.tasks.base import Task


class Regression(Task):
    """One number a row.

    Args:
        scale: standard deviation by which the targets were divided; ``rmse`` is in the target's own units.
    """

    kind: ClassVar[str] = "regression"

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of (rows,) against (rows,)."""
        return F.mse_loss(outputs, targets)

    def figures(self, outputs: Tensor, targets: Tensor, *, full: bool) -> dict[str, Tensor]:
        """``loss`` (mean squared error of standardized targets) and ``rmse``; with `full` also ``r2``.

        ``r2`` compares with the mean of these targets and needs two rows; it is left out below that.
        """
        loss = F.mse_loss(outputs.float(), targets)
        figures = {"loss": loss, "rmse": loss.sqrt() * self.scale}
        if full and len(targets) > 1:
            figures["r2"] = r2_score(outputs.float(), targets)
        return figures
