"""Weight noise: normal noise on the weights in training passes."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._order import DROPOUT
from reglab.regularizers._swapped_weights import WeightSwap
from reglab.regularizers.base import Regularizer
from reglab.regularizers.input_noise import noisy
from reglab.schema.strength import coefficient


class WeightNoise(Regularizer):
    """Use the weights w + N(0, std²) in training passes, drawn once per pass for all examples; w is not changed.

    Murray and Edwards 1994, "Enhanced MLP Performance and Fault Tolerance Resulting from Synaptic Weight Noise During
    Training"; An 1996, "The Effects of Adding Noise During Backpropagation Training on a Generalization Performance".

    Args:
        std: standard deviation in the units of the weights, at least 0; 0 is off.
    """

    std = coefficient(0.02, 0.001, 0.3, effect="noisy weights")
    memory_traffic: ClassVar = 4.0  # noise out and in, w in, sum out
    draws: ClassVar = "normal weights"
    order: ClassVar = DROPOUT
    stochastic: ClassVar = True

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._swap = WeightSwap(self._changed, self.name)

    def attach(self, model: nn.Module) -> list[str]:
        return self._swap.attach(model)

    def _changed(self, weight: Tensor) -> Tensor:
        return noisy(weight, torch.randn(weight.shape, dtype=weight.dtype, device=weight.device), self.std)
