"""Max-norm: the norm of the incoming weights of each unit is limited."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from reglab.regularizers._layouts import UnitWise
from reglab.regularizers._order import PROJECTION
from reglab.regularizers.base import Weights
from reglab.regularizers.group_lasso import row_lengths
from reglab.schema.constraints import ABOVE_0
from reglab.schema.strength import Search, Strength


def capped_rows(weight: Tensor, max_norm: Tensor) -> Tensor:
    """Scale rows with a Euclidean norm above `max_norm` down to it.

    As ``torch.renorm(weight, 2, 0, max_norm)``, which does not support a tensor as maximum.

    Args:
        weight: (output units, ...); a row has the incoming weights of one unit, or one filter.
        max_norm: 0-dim, above 0; infinity returns the weights unchanged, bit for bit.
    """
    lengths = row_lengths(weight)
    # Without the small term a scaled row could be longer by a rounding error and be scaled again in the next step.
    scale = torch.where(lengths > max_norm, max_norm / (lengths + 1e-7), 1.0)
    return weight * scale


class MaxNorm(UnitWise):
    """Project the incoming weights of each unit onto the ball of radius `max_norm` after each step.

    The axis of units depends on the layer (`Layout`); the units of an embedding are its token vectors.

    Srebro and Shraibman 2005, "Rank, Trace-Norm and Max-Norm"; with dropout: Srivastava et al. 2014, "Dropout".

    Args:
        max_norm: above 0; infinity is off.
    """

    max_norm = Strength(3.0, Search(1.0, 5.0), minimum=ABOVE_0, off=math.inf, effect="max norm", probe=0.001)
    memory_traffic: ClassVar = 3.0  # w in for norms, in and out for scaling
    order: ClassVar = PROJECTION

    def after_step(self, weights: Weights, lr: float) -> Weights:
        return {
            name: layout.from_rows(capped_rows(layout.to_rows(weight), self.max_norm))
            for name, weight, layout in self.laid_out(weights)
        }
