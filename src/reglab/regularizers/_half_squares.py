"""Half the sum of squares without a temporary of the weights' size."""

from typing import Any

import torch
from torch import Tensor


class HalfSquares(torch.autograd.Function):
    """½ Σ w² of a tensor of any shape, a scalar; its gradient is w.

    Autograd through ``w.square().sum()`` writes the squares and multiplies once more on the way back, which costs a
    large network more than all the rest of its penalty.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor) -> Tensor:
        return torch.linalg.vector_norm(weight).square() / 2

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (weight,) = ctx.saved_tensors
        return gradient * weight


def half_squares(weights: dict[str, Tensor]) -> Tensor:
    """½ Σ w² over all tensors, a scalar."""
    return torch.stack([HalfSquares.apply(weight) for weight in weights.values()]).sum()
