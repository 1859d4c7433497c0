"""Flooding: the training loss is kept from falling below a level."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._order import FLOOD
from reglab.regularizers.base import Regularizer, Step
from reglab.schema.strength import coefficient


def flooded(loss: Tensor, level: Tensor) -> Tensor:
    """|loss - level| + level, a scalar: below the level the gradient's sign is turned.

    Args:
        loss: a scalar.
        level: 0-dim, at least 0; 0 gives the loss back, bit for bit, with its gradient.
    """
    # Without the absolute value a loss above the level is not rounded, and a loss of 0 keeps its gradient at level 0.
    return torch.where((loss < level) & (level > 0), 2 * level - loss, loss)


class Flooding(Regularizer):
    """Turns descent into ascent while the batch's loss is below `level`, so that it hovers there.

    It acts on what outputs and labels give (the cross entropy or squared error, label smoothing, the focal loss, mixed
    labels) and before penalties, whose pull is never turned around. The level is met by the mean loss of each batch, as
    in the paper (Ishida et al. 2020, "Do We Need Zero Training Loss After Achieving Zero Training Error?").

    Args:
        level: at least 0, in units of the loss; 0 is off.
    """

    level = coefficient(0.1, 0.01, 0.3, effect="flooding", probe=10000.0)
    order: ClassVar = FLOOD

    def attach(self, model: nn.Module) -> list[str]:
        return ["loss"]

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        return flooded(loss, self.level)
