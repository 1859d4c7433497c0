"""Decoupled weight decay: weights shrink in proportion, whatever the optimizer does with gradients."""

from typing import ClassVar

from torch import Tensor

from reglab.regularizers._order import DECAY
from reglab.regularizers.base import Regularizer, Weights


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

    off: ClassVar = {"strength": 0.0}
    bounds: ClassVar = {"strength": (0.0, float("inf"))}
    traffic: ClassVar = 2.0  # w in and out
    acts: ClassVar = DECAY
    effects: ClassVar = {"strength": "shrunken weights"}
    strength: Tensor

    def __init__(self, strength: float) -> None:
        super().__init__(strength=strength)

    def before_step(self, weights: Weights, lr: float) -> Weights:
        return decayed(weights, lr, self.strength)
