"""Elastic net: an L1 and an L2 penalty together."""

from typing import ClassVar

from torch import Tensor

from reglab.regularizers._order import PROX
from reglab.regularizers.base import Regularizer, Step, Weights
from reglab.regularizers.l1 import absolute_sum, soft_threshold
from reglab.regularizers.l2 import l2_penalty


class ElasticNet(Regularizer):
    """l1 · Σ |w| by its proximal step, and l2 / 2 · Σ w² on the loss.

    Zou and Hastie 2005, "Regularization and Variable Selection via the Elastic Net"; the same as `L1` and `L2`
    together, as one method to search.

    Args:
        l1: at least 0; 0 is off.
        l2: at least 0; 0 is off.
    """

    off: ClassVar = {"l1": 0.0, "l2": 0.0}
    bounds: ClassVar = {"l1": (0.0, float("inf")), "l2": (0.0, float("inf"))}
    traffic: ClassVar = 6.0  # both of its parts
    acts: ClassVar = PROX
    effects: ClassVar = {"l1": "soft-thresholded weights", "l2": "shrunken weights"}
    l1: Tensor
    l2: Tensor

    def __init__(self, l1: float, l2: float) -> None:
        super().__init__(l1=l1, l2=l2)

    def penalty(self, weights: Weights) -> Tensor:
        return self.l1 * absolute_sum(weights) + l2_penalty(weights, self.l2)

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        return loss + l2_penalty(step.weights, self.l2)

    def after_step(self, weights: Weights, lr: float) -> Weights:
        threshold = lr * self.l1
        return {name: soft_threshold(weight, threshold) for name, weight in weights.items()}
