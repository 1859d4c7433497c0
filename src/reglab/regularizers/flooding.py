"""Flooding: gradient ascent while the training loss is below a level."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._order import FLOOD
from reglab.regularizers.base import Regularizer, Step
from reglab.schema.strength import coefficient


def flooded(loss: Tensor, level: Tensor) -> Tensor:
    """Return |loss - level| + level, a scalar, whose gradient has the opposite sign below the level.

    Args:
        loss: a scalar.
        level: 0-dim, at least 0; 0 returns the loss unchanged, bit for bit, with its gradient.
    """
    # torch.where instead of the absolute value: a loss above the level is not rounded, and keeps its gradient at 0.
    return torch.where((loss < level) & (level > 0), 2 * level - loss, loss)


class Flooding(Regularizer):
    """Reverse the gradient of the loss while the loss of the batch is below `level`, so that it stays near the level.

    Acts on the loss of outputs and labels (cross entropy or squared error, label smoothing, focal loss, mixed labels)
    before penalties are added, whose gradients are never reversed. The level is compared with the mean loss of each
    batch, as in the paper (Ishida et al. 2020, "Do We Need Zero Training Loss After Achieving Zero Training Error?").

    Args:
        level: at least 0, in units of the loss; 0 is off.
    """

    level = coefficient(0.1, 0.01, 0.3, effect="flooding", probe=10000.0)
    order: ClassVar = FLOOD

    def attach(self, model: nn.Module) -> list[str]:
        return ["loss"]

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        return flooded(loss, self.level)
