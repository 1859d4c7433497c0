"""Elastic net: an L1 and an L2 penalty together."""

from typing import ClassVar

from torch import Tensor

from reglab.regularizers._order import PROX
from reglab.regularizers.base import Regularizer, Step, Weights
from reglab.regularizers.l1 import absolute_sum, soft_threshold
from reglab.regularizers.l2 import l2_penalty
from reglab.schema.strength import coefficient


class ElasticNet(Regularizer):
    """Apply the proximal step of l1 · Σ |w| after the optimizer, and add l2 / 2 · Σ w² to the loss.

    Zou and Hastie 2005, "Regularization and Variable Selection via the Elastic Net"; equal to `L1` and
    `L2` together, as one method.

    Args:
        l1: at least 0; 0 is off.
        l2: at least 0; 0 is off.
    """

    l1 = coefficient(0.0001, 1e-6, 0.01, effect="soft-thresholded weights")
    l2 = coefficient(0.001, 1e-6, 0.1, effect="shrunken weights")
    memory_traffic: ClassVar = 6.0  # both of its parts
    order: ClassVar = PROX

    def penalty(self, weights: Weights) -> Tensor:
        return self.l1 * absolute_sum(weights) + l2_penalty(weights, self.l2)

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        return loss + l2_penalty(step.weights, self.l2)

    def after_step(self, weights: Weights, lr: float) -> Weights:
        threshold = lr * self.l1
        return {name: soft_threshold(weight, threshold) for name, weight in weights.items()}
