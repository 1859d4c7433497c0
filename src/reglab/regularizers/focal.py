"""Focal loss: well-classified examples get a smaller weight."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._class_probabilities import expected_at_targets, log_probabilities
from reglab.regularizers._order import LOSS
from reglab.regularizers.base import Regularizer, Step
from reglab.schema.strength import Search, Strength
from reglab.schema.task_kinds import SOFTMAX_OUTPUTS


def focal_excess(outputs: Tensor, targets: Tensor, gamma: Tensor) -> Tensor:
    """Return mean focal loss minus mean cross entropy: the mean of ((1 - p)^gamma - 1) · -log p, a scalar.

    For class probabilities the expected value, so that mixed labels have the mixture of both focal losses.

    Args:
        outputs: logits (..., classes).
        targets: class indices (...), or class probabilities (..., classes).
        gamma: 0-dim, at least 0; 0 gives exactly 0, and gradients of exactly 0.
    """
    log_p = log_probabilities(outputs)
    # The clamp removes the gradient where p is 1, which is infinite for a gamma below 1.
    wrong = (1 - log_p.exp()).clamp_min(torch.finfo(log_p.dtype).tiny)
    return expected_at_targets((1 - wrong**gamma) * log_p, targets).mean()


class Focal(Regularizer):
    """Replace the cross entropy by (1 - p)^gamma · -log p of the target class, in training only.

    Lin et al. 2017, "Focal Loss for Dense Object Detection"; for calibration: Mukhoti et al. 2020, "Calibrating Deep
    Neural Networks using Focal Loss".

    Args:
        gamma: at least 0; 0 is off.
    """

    gamma = Strength(2.0, Search(0.5, 5.0), effect="focal loss")
    order: ClassVar = LOSS
    changes_cross_entropy: ClassVar = True
    requires_task: ClassVar = (SOFTMAX_OUTPUTS,)
    conflicts: ClassVar = {"label_smoothing": "label smoothing changes the plain cross entropy, which focal replaces"}

    def attach(self, model: nn.Module) -> list[str]:
        return ["loss"]

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        assert step.outputs is not None, "the loss comes after the forward pass"
        return loss + focal_excess(step.outputs, step.targets, self.gamma)
