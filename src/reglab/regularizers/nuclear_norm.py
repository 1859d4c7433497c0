"""Nuclear norm: singular values of weight matrices shrink to zero, which gives matrices of low rank."""

from typing import ClassVar

import torch
from torch import Tensor

from reglab.regularizers._layouts import UnitWise
from reglab.regularizers._order import GROUP_PROX
from reglab.regularizers.base import Weights
from reglab.schema.strength import coefficient


def singular_sum(weights: Weights) -> Tensor:
    """Return the sum of the singular values of all tensors (output units, ...), flattened to matrices; a scalar."""
    return torch.stack([singular_values(weight).sum() for weight in weights.values()]).sum()


def singular_values(weight: Tensor) -> Tensor:
    """Return the singular values of a tensor (output units, ...) as a matrix, largest first."""
    return torch.linalg.svdvals(_matrix(weight))


def thresholded_spectrum(weight: Tensor, threshold: Tensor) -> Tensor:
    """Replace singular values σ by max(σ - threshold, 0): the proximal operator of threshold · Σ σ.

    Args:
        weight: (output units, ...), flattened to (output units, inputs): a filter is a row.
        threshold: 0-dim, at least 0; 0 returns the weights unchanged, bit for bit.
    """
    matrix = _matrix(weight)
    # LAPACK would raise an error for NaN; they remain in the matrix from which the result is computed.
    left, values, right = torch.linalg.svd(torch.nan_to_num(matrix, 0.0, 0.0, 0.0), full_matrices=False)
    # Computing the change, not the result, from the factors keeps the rounding error proportional to the step.
    with torch.autocast(weight.device.type, enabled=False):
        change = (left * values.clamp_max(threshold)) @ right
    return (matrix - change).reshape(weight.shape).to(weight.dtype)


def _matrix(weight: Tensor) -> Tensor:
    """Return the weight as (output units, inputs) in at least float32, as LAPACK requires."""
    return weight.flatten(1).to(torch.promote_types(weight.dtype, torch.float32))


class NuclearNorm(UnitWise):
    """Apply the proximal step of strength · Σ singular values after the optimizer: they shrink by lr · strength.

    Each group of a convolution, each gate of a recurrent layer and each of queries, keys and values is a matrix (see
    `Layout`).

    The penalty is not added to the loss, because its subgradient would not give exact zeros and needs the same
    decomposition. The step uses the Euclidean metric also under adaptive optimizers (Fazel, Hindi and
    Boyd 2001, "A Rank Minimization Heuristic with Application to Minimum Order System Approximation"; Cai, Candès and
    Shen 2010, "A Singular Value Thresholding Algorithm for Matrix Completion").

    Args:
        strength: at least 0; 0 is off.
    """

    strength = coefficient(0.001, 1e-5, 0.1, effect="nuclear norm")
    memory_traffic: ClassVar = 3.0  # w and its gradient in, gradient out
    order: ClassVar = GROUP_PROX
    conflicts: ClassVar = {
        "l1": "its step comes after that of l1 and would fill the exact zeros with rounding errors",
        "elastic_net": "its step comes after that of elastic_net and would fill the exact zeros with rounding errors",
        "group_lasso": "its step comes after that of group_lasso and would fill the exact zeros with rounding errors",
    }

    def penalty(self, weights: Weights) -> Tensor:
        sums = [layout.map_matrices(singular_values, weight).sum() for _, weight, layout in self.laid_out(weights)]
        return self.strength * torch.stack(sums).sum()

    def after_step(self, weights: Weights, lr: float) -> Weights:
        threshold = lr * self.strength
        return {
            name: layout.from_matrices(
                layout.map_matrices(lambda matrix: thresholded_spectrum(matrix, threshold), weight)
            )
            for name, weight, layout in self.laid_out(weights)
        }

    @classmethod
    def flops(cls, rows: int, columns: int) -> float:
        short, long = sorted((rows, columns))
        # The decomposition (Golub and Van Loan, "Matrix Computations") and the product.
        return 6.0 * long * short**2 + 20.0 * short**3 + 2.0 * long * short**2
