"""Group lasso: whole units shrink until they are exactly zero."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from reglab.regularizers._layouts import UnitWise
from reglab.regularizers._order import GROUP_PROX
from reglab.regularizers.base import Weights
from reglab.schema.strength import coefficient


def row_lengths(weight: Tensor) -> Tensor:
    """Euclidean length of each row, or filter, of a weight (output units, ...): (output units, 1, ...)."""
    return torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.ndim)), keepdim=True)


def group_sum(weights: Weights) -> Tensor:
    """Σ √g ‖row‖ over the rows of all tensors (output units, ...), g the size of a row; a scalar."""
    return torch.stack([math.sqrt(w[0].numel()) * row_lengths(w).sum() for w in weights.values()]).sum()


def shrunk_rows(weight: Tensor, threshold: Tensor) -> Tensor:
    """row · max(1 - t / ‖row‖, 0) with t = threshold · √(size of a row): the proximal operator of t · ‖row‖.

    Args:
        weight: (output units, ...): a row holds one unit's incoming weights, or one filter.
        threshold: 0-dim, at least 0; 0 gives the weights back, bit for bit.
    """
    length = math.sqrt(weight[0].numel()) * threshold
    # t / max(‖row‖, t) is exactly 1 where the row is shorter than t; the smallest number keeps 0 / 0 out.
    share = length / torch.maximum(row_lengths(weight), length).clamp_min(torch.finfo(weight.dtype).tiny)
    return weight * (1 - share)


class GroupLasso(UnitWise):
    """strength · Σ √g ‖row‖ by its proximal step alone, after the optimizer: rows become zero as a whole.

    A row holds the incoming weights of one output unit, or one filter (`Layout` says where each layer has them; the
    vector of each token of an embedding), and g is its size. The penalty is not in the
    loss as well, for a subgradient never gives exact zeros. Under an adaptive optimizer the step is taken in the plain
    metric (Yuan and Lin 2006, "Model Selection and Estimation in Regression with Grouped Variables"; for networks
    Scardapane et al. 2017, "Group Sparse Regularization for Deep Neural Networks").

    Args:
        strength: at least 0; 0 is off.
    """

    strength = coefficient(0.0001, 1e-6, 0.01, effect="group lasso")
    memory_traffic: ClassVar = 3.0  # w in for norms, in and out for scaling
    order: ClassVar = GROUP_PROX

    def penalty(self, weights: Weights) -> Tensor:
        return self.strength * group_sum({name: layout.by_unit(w) for name, w, layout in self.laid_out(weights)})

    def after_step(self, weights: Weights, lr: float) -> Weights:
        threshold = lr * self.strength
        return {
            name: layout.back(shrunk_rows(layout.by_unit(weight), threshold))
            for name, weight, layout in self.laid_out(weights)
        }
