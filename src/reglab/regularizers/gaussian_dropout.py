"""Gaussian dropout: every unit is multiplied by normal noise of mean 1."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._hooks import hidden_activations, moved
from reglab.regularizers._order import DROPOUT
from reglab.regularizers.base import BELOW_1, Regularizer


def blurred(values: Tensor, draws: Tensor, p: Tensor) -> Tensor:
    """values · (1 + √(p / (1 - p)) · draw): with standard normal draws the mean and the variance of dropout.

    The mean stays and the variance is values² · p / (1 - p). At p = 0 the values come back, bit for bit.
    Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", section 10.

    Args:
        values: any shape.
        draws: of mean 0 and variance 1, of the same shape.
        p: 0-dim, at least 0 and below 1.
    """
    factor = ((p / (1 - p)).sqrt() * draws).add_(1)
    return (values * factor).to(values.dtype)  # the noise itself is not rounded to bfloat16


class GaussianDropout(Regularizer):
    """Multiplies every hidden activation by N(1, p / (1 - p)), anew at each training step; nothing in evaluation.

    Args:
        p: at least 0 and below 1, the p of the dropout that has the same mean and variance; 0 is off.
    """

    off: ClassVar = {"p": 0.0}
    bounds: ClassVar = {"p": (0.0, BELOW_1)}
    effects: ClassVar = {"p": "noisy activations"}
    draws: ClassVar = "activations"
    acts: ClassVar = DROPOUT
    random_forward: ClassVar = True
    acts_on: ClassVar = "activations"
    needs: ClassVar = "it needs activation modules (nn.ReLU, ...) between layers"
    p: Tensor

    def __init__(self, p: float) -> None:
        super().__init__(p=p)
        self._handles: list[Any] = []

    def attach(self, model: nn.Module) -> list[str]:
        layers = hidden_activations(model)
        self._handles = moved(self._handles, layers.values(), self._blur)
        return list(layers)

    def _blur(self, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return blurred(output, torch.randn(output.shape, device=output.device), self.p) if layer.training else output
