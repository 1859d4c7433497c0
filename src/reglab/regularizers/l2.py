"""L2 penalty (ridge, Tikhonov): half the sum of squared weights is added to the loss."""

from typing import ClassVar

from torch import Tensor

from reglab.regularizers._autograd import half_squares
from reglab.regularizers._order import PENALTY
from reglab.regularizers.base import Regularizer, Step, Weights
from reglab.schema.strength import coefficient


def l2_penalty(weights: Weights, strength: Tensor) -> Tensor:
    """Return strength / 2 · Σ w², a scalar; its gradient is strength · w.

    Hoerl and Kennard 1970, "Ridge Regression: Biased Estimation for Nonorthogonal Problems".
    """
    return strength * half_squares(weights)


class L2(Regularizer):
    """Add strength / 2 · Σ w² to the mean loss; equal to `WeightDecay` under SGD without momentum, not under Adam.

    Args:
        strength: at least 0; 0 is off.
    """

    strength = coefficient(0.001, 1e-6, 0.1, effect="shrunken weights")
    memory_traffic: ClassVar = 4.0  # w in for its value; w and its gradient in, gradient out
    order: ClassVar = PENALTY

    def penalty(self, weights: Weights) -> Tensor:
        return l2_penalty(weights, self.strength)

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        return loss + l2_penalty(step.weights, self.strength)
