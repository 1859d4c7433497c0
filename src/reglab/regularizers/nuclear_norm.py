"""Nuclear norm: each weight matrix loses its small singular values and comes to a low rank."""

from typing import ClassVar

import torch
from torch import Tensor

from reglab.regularizers._layouts import UnitWise
from reglab.regularizers._order import GROUP_PROX
from reglab.regularizers.base import Weights
from reglab.schema.strength import coefficient


def singular_sum(weights: Weights) -> Tensor:
    """Σ of the singular values of all tensors (output units, ...), each flattened to a matrix; a scalar."""
    return torch.stack([singular_values(weight).sum() for weight in weights.values()]).sum()


def singular_values(weight: Tensor) -> Tensor:
    """The singular values of a tensor (output units, ...) as a matrix, largest first."""
    return torch.linalg.svdvals(_matrix(weight))


def thresholded_spectrum(weight: Tensor, threshold: Tensor) -> Tensor:
    """Singular values σ become max(σ - threshold, 0): the proximal operator of threshold · Σ σ.

    Args:
        weight: (output units, ...), flattened to (output units, inputs): a filter is a row.
        threshold: 0-dim, at least 0; 0 gives the weights back, bit for bit.
    """
    matrix = _matrix(weight)
    # A diverged weight stays visible in what is taken from it; LAPACK would raise an error of its own.
    left, values, right = torch.linalg.svd(torch.nan_to_num(matrix, 0.0, 0.0, 0.0), full_matrices=False)
    # What is taken off, and not what is kept, is multiplied out: the rounding error of a step is as small as the step.
    with torch.autocast(weight.device.type, enabled=False):
        taken = (left * values.clamp_max(threshold)) @ right
    return (matrix - taken).reshape(weight.shape).to(weight.dtype)


def _matrix(weight: Tensor) -> Tensor:
    """(output units, inputs), in float32 at least: LAPACK knows no shorter numbers."""
    return weight.flatten(1).to(torch.promote_types(weight.dtype, torch.float32))


class NuclearNorm(UnitWise):
    """strength · Σ singular values by its proximal step alone: all of them shrink by lr · strength after the optimizer.

    A matrix holds the weights of one map, see `Layout`: each group of a convolution, each gate of a recurrent layer and
    each of queries, keys and values is one.

    The penalty is not in the loss as well, for a subgradient never brings a singular value to rest at zero, and would
    need the same decomposition. Under an adaptive optimizer the step is taken in the plain metric (Fazel, Hindi and
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
        sums = [layout.each(singular_values, weight).sum() for _, weight, layout in self.laid_out(weights)]
        return self.strength * torch.stack(sums).sum()

    def after_step(self, weights: Weights, lr: float) -> Weights:
        threshold = lr * self.strength
        return {
            name: layout.stacked(layout.each(lambda one: thresholded_spectrum(one, threshold), weight))
            for name, weight, layout in self.laid_out(weights)
        }

    @classmethod
    def flops(cls, rows: int, columns: int) -> float:
        short, long = sorted((rows, columns))
        # The decomposition (Golub and Van Loan, "Matrix Computations"), and the product that is taken off.
        return 6.0 * long * short**2 + 20.0 * short**3 + 2.0 * long * short**2
