"""DropConnect: weights are set to zero at random in training passes."""

from typing import ClassVar

from torch import Tensor, nn

from reglab.regularizers._order import DROPOUT
from reglab.regularizers._swapped_weights import WeightSwap
from reglab.regularizers.base import Regularizer
from reglab.regularizers.dropout import dropped
from reglab.schema.strength import probability


class DropConnect(Regularizer):
    """Use the weights w · mask / (1 - p) in training passes, with one mask per pass for all examples.

    Their mean is w, which evaluation uses and checkpoints contain (Wan et al. 2013, "Regularization of
    Neural Networks using DropConnect", who draw a mask for each example and sample in evaluation as well).

    Args:
        p: probability to drop a weight, at least 0 and below 1; 0 is off.
    """

    p = probability(0.2, 0.1, 0.5, effect="noisy weights")
    memory_traffic: ClassVar = 7.0  # draws out and in, w in, product out; gradient and mask in, gradient out
    draws: ClassVar = "weights"
    order: ClassVar = DROPOUT
    stochastic: ClassVar = True

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._swap = WeightSwap(self._changed, self.name)

    def attach(self, model: nn.Module) -> list[str]:
        return self._swap.attach(model)

    def _changed(self, weight: Tensor) -> Tensor:
        return dropped(weight, self.p)
