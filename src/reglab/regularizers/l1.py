"""L1 penalty (lasso) by soft-thresholding: weights shrink by a constant to exactly zero."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from reglab.regularizers._order import PROX
from reglab.regularizers.base import Regularizer, Weights
from reglab.schema.strength import coefficient


def absolute_sum(weights: Weights) -> Tensor:
    """Return Σ |w| over all tensors, a scalar."""
    return torch.stack([weight.abs().sum() for weight in weights.values()]).sum()


class _SoftThreshold(torch.autograd.Function):
    """``softshrink`` with a tensor as threshold, also under vmap."""

    @staticmethod
    def forward(weight: Tensor, threshold: Tensor) -> Tensor:
        # softshrink reads the weights once, clamp and subtraction four times. Its threshold is a number, which would
        # synchronize a GPU.
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
    # w - w, an exact zero, where |w| is below the threshold. In place, since allocating memory for large weights takes
    # longer than the arithmetic.
    return weight.clamp_min(-threshold).clamp_max_(threshold).neg_().add_(weight)


def soft_threshold(weight: Tensor, threshold: Tensor) -> Tensor:
    """Return sign(w) · max(|w| - threshold, 0), elementwise: the proximal operator of threshold · |w|.

    Not differentiable.

    Args:
        weight: any shape.
        threshold: 0-dim, at least 0; 0 returns the weights unchanged, bit for bit.
    """
    thresholded: Tensor = _SoftThreshold.apply(weight, threshold)
    return thresholded


class L1(Regularizer):
    """Apply the proximal step of strength · Σ |w| after the optimizer: a soft threshold of lr · strength.

    The penalty is not added to the loss, because its subgradient would not give exact zeros. The threshold is the same
    for all weights, also under adaptive optimizers (Tibshirani 1996, "Regression Shrinkage
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
