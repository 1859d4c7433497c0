"""Regression: squared, absolute or Huber loss, and metrics in the target's own units."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from reglab.schema.task_kinds import REGRESSION, TaskKind
from reglab.tasks.base import Task, to_float64


class Regression(Task):
    """One number per row.

    Args:
        scale: standard deviation by which the targets were divided; `rmse` and `mae` are in the target's own units.
        loss: ``squared``, ``absolute`` or ``huber``.
        huber_delta: error, in units of the scaled targets, at which the Huber loss changes from squared to absolute.
        mean: number that was subtracted from the targets.
    """

    about: ClassVar[TaskKind] = REGRESSION

    def __init__(self, scale: float = 1.0, loss: str = "squared", huber_delta: float = 1.0, mean: float = 0.0) -> None:
        self.scale, self.mean = scale, mean
        self.loss_name = loss
        self.huber_delta = huber_delta

    @classmethod
    def from_data(cls, data: Any, **options: Any) -> "Regression":
        """Return the task of a data set; `loss` and `huber_delta` are options."""
        return cls(data.target_scale, mean=data.target_mean, **options)

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of (rows,) against (rows,)."""
        if self.loss_name == "absolute":
            return F.l1_loss(outputs, targets)
        if self.loss_name == "huber":
            return F.huber_loss(outputs, targets, delta=self.huber_delta)
        return F.mse_loss(outputs, targets)

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the target in its own units, float64 (rows,): float32 has too few digits if the mean is far from 0."""
        return outputs.double() * self.scale + self.mean

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the criterion of all rows, on scaled targets."""
        return self.criterion(outputs, to_float64(targets))

    def rmse(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the root mean squared error, in the target's own units."""
        return F.mse_loss(outputs, to_float64(targets)).sqrt() * self.scale

    def mae(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean absolute error, in the target's own units."""
        return F.l1_loss(outputs, to_float64(targets)) * self.scale

    def r2(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """Return the coefficient of determination against the mean of these targets, at most 1; None below two rows.

        For targets that are all equal it is 1 if every output is exact, else 0, as ``r2_score`` of scikit-learn.
        The one of torchmetrics is 1 if the squared errors add up to less than 1e-4, and loses digits by cancellation
        for targets far from 0.
        """
        targets = to_float64(targets)
        if len(targets) < 2:
            return None
        centered = targets - targets[0]  # exactly 0 for equal targets; distances to a rounded mean need not be
        total = (centered - centered.mean()).square().sum()
        residual = (targets - outputs).square().sum()
        constant = torch.where(residual > 0, 0.0, 1.0).to(total)
        return torch.where(total > 0, 1 - residual / total, constant)
