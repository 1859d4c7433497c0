"""Decoupled weight decay: weights shrink in proportion, independently of the gradients."""

from typing import ClassVar

from torch import Tensor

from reglab.regularizers._order import DECAY
from reglab.regularizers.base import Regularizer, Weights
from reglab.schema.strength import coefficient


def decayed(weights: Weights, lr: float, strength: Tensor) -> Weights:
    """Return (1 - lr · strength) · w for every tensor.

    Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".
    """
    factor = 1 - lr * strength
    return {name: weight * factor for name, weight in weights.items()}


class WeightDecay(Regularizer):
    """Multiply weights by 1 - lr · strength before the update, as AdamW, but without biases and gains.

    Args:
        strength: at least 0; 0 is off. The ``weight_decay`` of the optimizer should be 0.
    """

    strength = coefficient(0.01, 0.0001, 0.3, effect="shrunken weights")
    memory_traffic: ClassVar = 2.0  # w in and out
    order: ClassVar = DECAY

    def before_step(self, weights: Weights, lr: float) -> Weights:
        return decayed(weights, lr, self.strength)
