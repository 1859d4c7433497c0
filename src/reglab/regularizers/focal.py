"""Focal loss: examples that the network already gets right count less."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._class_probabilities import expected_at_targets, log_probabilities
from reglab.regularizers._order import LOSS
from reglab.regularizers.base import Regularizer, Step
from reglab.schema.strength import Search, Strength
from reglab.schema.task_kinds import SOFTMAX_OUTPUTS


def focal_excess(outputs: Tensor, targets: Tensor, gamma: Tensor) -> Tensor:
    """Mean focal loss minus mean cross entropy, a scalar: the mean of ((1 - p)^gamma - 1) · -log p of the targets.

    Of shares of classes it is the mean under them, so that mixed labels have the mixed focal losses of both.

    Args:
        outputs: logits (..., classes).
        targets: class numbers (...), or shares of classes (..., classes) that sum to 1.
        gamma: 0-dim, at least 0; 0 gives exactly 0, and gradients of exactly 0.
    """
    log_p = log_probabilities(outputs)
    # Where p is 1 the clamp cuts the gradient: below gamma = 1 that of a power of 0 is infinite.
    wrong = (1 - log_p.exp()).clamp_min(torch.finfo(log_p.dtype).tiny)
    return expected_at_targets((1 - wrong**gamma) * log_p, targets).mean()


class Focal(Regularizer):
    """(1 - p)^gamma · -log p of the right class in place of the cross entropy, in training only.

    Lin et al. 2017, "Focal Loss for Dense Object Detection"; for calibration: Mukhoti et al. 2020, "Calibrating Deep
    Neural Networks using Focal Loss".

    Args:
        gamma: at least 0; 0 is off.
    """

    gamma = Strength(2.0, Search(0.5, 5.0), effect="focal loss")
    order: ClassVar = LOSS
    changes_cross_entropy: ClassVar = True
    requires_task: ClassVar = (SOFTMAX_OUTPUTS,)
    conflicts: ClassVar = {
        "label_smoothing": "label smoothing moves a share of the plain cross entropy, which focal has weighted down"
    }

    def attach(self, model: nn.Module) -> list[str]:
        return ["loss"]

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        assert step.outputs is not None, "the loss comes after the forward pass"
        return loss + focal_excess(step.outputs, step.targets, self.gamma)
