"""Mixup: training on mixtures of two examples and of their labels."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._batch_transforms import beta_draws, blend
from reglab.regularizers._class_probabilities import as_probabilities
from reglab.regularizers._order import MIX
from reglab.regularizers.base import Batch, Regularizer, Step
from reglab.schema.strength import coefficient
from reglab.schema.task_kinds import NUMERIC_INPUTS


def mixed(batch: Batch, partners: Tensor, share: Tensor) -> Batch:
    """Return share · row + (1 - share) · partner for inputs and targets of each row.

    Args:
        batch: inputs (rows, ...) and targets: numbers (rows,) or class probabilities (rows, classes).
        partners: (rows,) row indices.
        share: (rows,), from 0 to 1; 1 is the identity.
    """
    inputs, targets = batch
    return blend(inputs, inputs[partners], share), blend(targets, targets[partners], share)


class Mixup(Regularizer):
    """Mix each row with a random partner of its batch, with a share from Beta(alpha, alpha) drawn for each row.

    Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", whose formula has a share for each pair (their code
    draws one per batch). Class indices are mixed as one-hot probabilities.

    Args:
        alpha: at least 0; 0 is off.
    """

    alpha = coefficient(0.2, 0.1, 1.0, effect="mixup")
    order: ClassVar = MIX
    requires_task: ClassVar = (NUMERIC_INPUTS,)

    def attach(self, model: nn.Module) -> list[str]:
        return ["batch"]

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        inputs, targets = batch
        rows = len(inputs)
        partners = torch.randperm(rows, device=inputs.device)
        return mixed(
            (inputs, as_probabilities(targets, step.task, inputs.dtype)), partners, beta_draws(self.alpha, rows)
        )
