"""Group lasso: the weights of whole units shrink to exactly zero."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from reglab.regularizers._layouts import UnitWise
from reglab.regularizers._order import GROUP_PROX
from reglab.regularizers.base import Weights
from reglab.schema.strength import coefficient


def row_lengths(weight: Tensor) -> Tensor:
    """Return the Euclidean norm of each row or filter of a weight (output units, ...), as (output units, 1, ...)."""
    return torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.ndim)), keepdim=True)


def group_sum(weights: Weights) -> Tensor:
    """Return Σ √g ‖row‖ over the rows of all tensors (output units, ...), with g the size of a row; a scalar."""
    return torch.stack([math.sqrt(w[0].numel()) * row_lengths(w).sum() for w in weights.values()]).sum()


def shrunk_rows(weight: Tensor, threshold: Tensor) -> Tensor:
    """Return row · max(1 - t / ‖row‖, 0) with t = threshold · √(size of a row): the proximal operator of t · ‖row‖.

    Args:
        weight: (output units, ...); a row has the incoming weights of one unit, or one filter.
        threshold: 0-dim, at least 0; 0 returns the weights unchanged, bit for bit.
    """
    row_threshold = math.sqrt(weight[0].numel()) * threshold
    # t / max(‖row‖, t) is exactly 1 where the row is shorter than t; the clamp avoids 0 / 0.
    share = row_threshold / torch.maximum(row_lengths(weight), row_threshold).clamp_min(torch.finfo(weight.dtype).tiny)
    return weight * (1 - share)


class GroupLasso(UnitWise):
    """Apply the proximal step of strength · Σ √g ‖row‖ after the optimizer, which sets whole rows to zero.

    A row has the g incoming weights of one output unit, one filter, or the vector of one token of an embedding, see
    `Layout`. The penalty is not added to the loss, because its subgradient would not give exact zeros. The step uses
    the Euclidean metric also under adaptive optimizers (Yuan and Lin 2006, "Model Selection and Estimation in
    Regression with Grouped Variables"; for networks Scardapane et al. 2017, "Group Sparse Regularization for Deep
    Neural Networks").

    Args:
        strength: at least 0; 0 is off.
    """

    strength = coefficient(0.0001, 1e-6, 0.01, effect="group lasso")
    memory_traffic: ClassVar = 3.0  # w in for norms, in and out for scaling
    order: ClassVar = GROUP_PROX

    def penalty(self, weights: Weights) -> Tensor:
        return self.strength * group_sum({name: layout.to_rows(w) for name, w, layout in self.laid_out(weights)})

    def after_step(self, weights: Weights, lr: float) -> Weights:
        threshold = lr * self.strength
        return {
            name: layout.from_rows(shrunk_rows(layout.to_rows(weight), threshold))
            for name, weight, layout in self.laid_out(weights)
        }
