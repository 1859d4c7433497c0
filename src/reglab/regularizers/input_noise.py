"""Input noise: every input of a training batch gets normal noise."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._order import TRANSFORM
from reglab.regularizers.base import Batch, Regularizer, Step
from reglab.schema.strength import coefficient
from reglab.schema.task_kinds import NUMERIC_INPUTS


def noisy(values: Tensor, draws: Tensor, std: Tensor) -> Tensor:
    """values + std · draws. At std = 0 the values come back, bit for bit.

    On the inputs of a linear model draws of mean 0 and variance 1 raise the expected sum of squared errors of m rows by
    m · std² · Σ w²: ridge with λ = m · std² (Bishop 1995, "Training with Noise is Equivalent to Tikhonov
    Regularization").

    Args:
        values: any shape, floating point.
        draws: of the same shape.
        std: 0-dim, at least 0, in units of the values.
    """
    return values + std * draws


class InputNoise(Regularizer):
    """Adds N(0, std²) to the inputs of each training batch, anew at each step; evaluation sees the clean ones.

    Args:
        std: at least 0, in units of the inputs: after standardization that is 1 = their own spread; 0 is off.
    """

    std = coefficient(0.1, 0.001, 0.3, effect="noisy inputs")
    order: ClassVar = TRANSFORM
    requires_task: ClassVar = (NUMERIC_INPUTS,)

    def attach(self, model: nn.Module) -> list[str]:
        return ["inputs"]

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        inputs, targets = batch
        # In the inputs' own dtype: numbers of tokens, which noise would turn into others, are refused by it.
        draws = torch.randn(inputs.shape, dtype=inputs.dtype, device=inputs.device)
        return noisy(inputs, draws, self.std), targets
