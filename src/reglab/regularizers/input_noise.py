"""Input noise: normal noise on the inputs of training batches."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._order import TRANSFORM
from reglab.regularizers.base import Batch, Regularizer, Step
from reglab.schema.strength import coefficient
from reglab.schema.task_kinds import NUMERIC_INPUTS


def noisy(values: Tensor, draws: Tensor, std: Tensor) -> Tensor:
    """Return values + std · draws; at std = 0 the values unchanged, bit for bit.

    On the inputs of a linear model, draws of mean 0 and variance 1 increase the expected sum of squared errors of m
    rows by m · std² · Σ w²: ridge with λ = m · std² (Bishop 1995, "Training with Noise is Equivalent to Tikhonov
    Regularization").

    Args:
        values: any shape, floating point.
        draws: random draws of the same shape.
        std: 0-dim, at least 0, in units of the values.
    """
    return values + std * draws


class InputNoise(Regularizer):
    """Add N(0, std²) to the inputs of each training batch; evaluation uses clean inputs.

    Args:
        std: at least 0, in units of the inputs (standard deviations of standardized inputs); 0 is off.
    """

    std = coefficient(0.1, 0.001, 0.3, effect="noisy inputs")
    order: ClassVar = TRANSFORM
    requires_task: ClassVar = (NUMERIC_INPUTS,)

    def attach(self, model: nn.Module) -> list[str]:
        return ["inputs"]

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        inputs, targets = batch
        # In the dtype of the inputs, so that randn raises an error for token ids.
        draws = torch.randn(inputs.shape, dtype=inputs.dtype, device=inputs.device)
        return noisy(inputs, draws, self.std), targets
