"""DropConnect: every weight is left out with a probability, anew at each training step."""

from typing import ClassVar

from torch import Tensor, nn

from reglab.regularizers._order import DROPOUT
from reglab.regularizers._swapped_weights import WeightSwap
from reglab.regularizers.base import BELOW_1, Regularizer
from reglab.regularizers.dropout import dropped


class DropConnect(Regularizer):
    """Training passes see `dropped` weights, w · mask / (1 - p), by one mask a pass for all its examples.

    Their mean is w, which is what evaluation computes with and what is saved (Wan et al. 2013, "Regularization of
    Neural Networks using DropConnect", who draw a mask for each example and sample in evaluation as well).

    Args:
        p: probability to drop a weight, at least 0 and below 1; 0 is off.
    """

    off: ClassVar = {"p": 0.0}
    bounds: ClassVar = {"p": (0.0, BELOW_1)}
    traffic: ClassVar = 7.0  # draws out and in, w in, product out; gradient and mask in, gradient out
    draws: ClassVar = "weights"
    acts: ClassVar = DROPOUT
    random_forward: ClassVar = True
    effects: ClassVar = {"p": "noisy weights"}
    p: Tensor

    def __init__(self, p: float) -> None:
        super().__init__(p=p)
        self._swap = WeightSwap(self._changed, self.name)

    def attach(self, model: nn.Module) -> list[str]:
        return self._swap.attach(model)

    def _changed(self, weight: Tensor) -> Tensor:
        return dropped(weight, self.p)
