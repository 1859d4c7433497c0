"""L1 penalty (lasso): weights shrink by a constant until they are exactly zero."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from reglab.regularizers._order import PROX
from reglab.regularizers.base import Regularizer, Weights
from reglab.schema.strength import coefficient


def absolute_sum(weights: Weights) -> Tensor:
    """Σ |w| over all tensors, a scalar."""
    return torch.stack([weight.abs().sum() for weight in weights.values()]).sum()


class _SoftThreshold(torch.autograd.Function):
    """torch's softshrink, which takes a plain number alone; where thresholds are stacked, the same of a tensor."""

    @staticmethod
    def forward(weight: Tensor, threshold: Tensor) -> Tensor:
        # One pass over the memory of the weights where clamp and subtraction are four. On a GPU one would have to wait
        # for the plain number.
        if not threshold.is_cpu:
            return _clamped(weight, threshold)
        return torch.nn.functional.softshrink(weight, threshold.item())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], weight: Tensor, threshold: Tensor) -> tuple[Tensor, int]:
        return torch.vmap(_clamped, in_dims)(weight, threshold), 0


def _clamped(weight: Tensor, threshold: Tensor) -> Tensor:
    # Where |w| is smaller that is w - w, an exact zero. All in the memory of the first clamp: of large weights the
    # system's new pages cost more than the arithmetic.
    return weight.clamp_min(-threshold).clamp_max_(threshold).neg_().add_(weight)


def soft_threshold(weight: Tensor, threshold: Tensor) -> Tensor:
    """sign(w) · max(|w| - threshold, 0), elementwise: the proximal operator of threshold · |w|. Not differentiable.

    Args:
        weight: any shape.
        threshold: 0-dim, at least 0; 0 gives the weights back, bit for bit.
    """
    thresholded: Tensor = _SoftThreshold.apply(weight, threshold)
    return thresholded


class L1(Regularizer):
    """strength · Σ |w| by its proximal step alone: a soft threshold of lr · strength after the optimizer.

    The penalty is not in the loss as well, for a subgradient never gives exact zeros. Under an adaptive optimizer the
    step is taken in the plain metric, every weight by the same lr · strength (Tibshirani 1996, "Regression Shrinkage
    and Selection via the Lasso"; Duchi and Singer 2009, "Efficient Online and Batch Learning Using Forward Backward
    Splitting").

    Args:
        strength: at least 0; 0 is off.
    """

    strength = coefficient(0.0001, 1e-6, 0.01, effect="soft-thresholded weights")
    memory_traffic: ClassVar = 2.0  # w in and out
    order: ClassVar = PROX

    def penalty(self, weights: Weights) -> Tensor:
        return self.strength * absolute_sum(weights)

    def after_step(self, weights: Weights, lr: float) -> Weights:
        threshold = lr * self.strength
        return {name: soft_threshold(weight, threshold) for name, weight in weights.items()}
