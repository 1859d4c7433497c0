"""Decoupled weight decay: weights shrink in proportion, whatever the optimizer does with gradients."""

from typing import ClassVar

from torch import Tensor

from reglab.regularizers._order import DECAY
from reglab.regularizers.base import Regularizer, Weights
from reglab.schema.strength import coefficient


def decayed(weights: Weights, lr: float, strength: Tensor) -> Weights:
    """(1 - lr · strength) · w of every tensor.

    Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".
    """
    factor = 1 - lr * strength
    return {name: weight * factor for name, weight in weights.items()}


class WeightDecay(Regularizer):
    """w ← (1 - lr · strength) · w right before the optimizer's update, as AdamW does it, but on weights alone.

    Args:
        strength: at least 0; 0 is off. The optimizer's own ``weight_decay`` stays at 0.
    """

    strength = coefficient(0.01, 0.0001, 0.3, effect="shrunken weights")
    memory_traffic: ClassVar = 2.0  # w in and out
    order: ClassVar = DECAY

    def before_step(self, weights: Weights, lr: float) -> Weights:
        return decayed(weights, lr, self.strength)
