"""Regression: squared error, root mean squared error, R²."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from reglab.tasks.base import Task, exact


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

        ``r2`` needs two rows; it is left out below that.
        """
        outputs, targets = exact(outputs), exact(targets)
        loss = F.mse_loss(outputs, targets)
        figures = {"loss": loss, "rmse": loss.sqrt() * self.scale}
        if full and len(targets) > 1:
            figures["r2"] = r2(outputs, targets)
        return figures


def r2(outputs: Tensor, targets: Tensor) -> Tensor:
    """Coefficient of determination against the mean of these targets, at most 1, a scalar.

    As scikit-learn's ``r2_score``: of targets that are all equal it is 1 where every output is exact, else 0.
    torchmetrics gives 1 where the squared errors add up to less than 1e-4, and cancels for targets far from 0.

    Args:
        outputs: float64 (rows,).
        targets: float64 (rows,), at least two.
    """
    centered = targets - targets[0]  # of equal targets exactly 0, which their distances to a rounded mean need not be
    total = (centered - centered.mean()).square().sum()
    residual = (targets - outputs).square().sum()
    constant = torch.where(residual > 0, 0.0, 1.0).to(total)
    return torch.where(total > 0, 1 - residual / total, constant)
