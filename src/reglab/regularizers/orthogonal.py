"""Orthogonality: rows (or columns) of weight matrices are pulled towards orthonormality."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from reglab.regularizers._layouts import UnitWise
from reglab.regularizers._order import PENALTY
from reglab.regularizers.base import Step, Weights
from reglab.schema.strength import coefficient


class Gram(torch.autograd.Function):
    """W Wᵀ of a matrix without autocast, as bfloat16 has a precision of 1 / 256 around 1.

    The backward pass takes one matrix product, (G + Gᵀ) W, where autograd would take two.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(matrix: Tensor) -> Tensor:
        with torch.autocast(matrix.device.type, enabled=False):
            return matrix @ matrix.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (matrix,) = ctx.saved_tensors
        with torch.autocast(matrix.device.type, enabled=False):
            return (gradient + gradient.mT) @ matrix


def distance_to_orthogonal(weight: Tensor) -> Tensor:
    """Return ‖W Wᵀ - I‖² (squared Frobenius norm) of a matrix with at most as many rows as columns, else ‖Wᵀ W - I‖².

    The product on the larger side is never I, because of its rank; its gradient would be the same at a higher cost.

    Args:
        weight: (output units, ...), flattened to (output units, inputs): a filter is a row.
    """
    matrix = weight.flatten(1)
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    gram = Gram.apply(matrix)
    return (gram - torch.eye(gram.shape[0], dtype=gram.dtype, device=gram.device)).square().sum()


class Orthogonal(UnitWise):
    """Add strength · Σ ‖Wᵀ W - I‖² to the mean loss, on the smaller side of each weight matrix.

    Each group of a convolution, each gate of a recurrent layer and each of queries, keys and values is a matrix (see
    `Layout`).

    Bansal, Chen and Wang 2018, "Can We Gain More from Orthogonality Regularizations in Training Deep Networks?" (their
    soft orthogonality); before them Brock et al. 2017, "Neural Photo Editing with Introspective Adversarial Networks".

    Args:
        strength: at least 0; 0 is off.
    """

    strength = coefficient(0.001, 1e-6, 0.01, effect="orthogonality")
    memory_traffic: ClassVar = 3.0  # w and its gradient in, gradient out
    order: ClassVar = PENALTY

    def penalty(self, weights: Weights) -> Tensor:
        sums = [
            layout.map_matrices(distance_to_orthogonal, weight).sum() for _, weight, layout in self.laid_out(weights)
        ]
        return self.strength * torch.stack(sums).sum()

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        return loss + self.penalty(step.weights)

    @classmethod
    def flops(cls, rows: int, columns: int) -> float:
        short, long = sorted((rows, columns))
        return 4.0 * short**2 * long  # a product for the penalty, and one for its gradient
