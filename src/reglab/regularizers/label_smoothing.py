"""Label smoothing: labels are mixed with the uniform distribution over the classes."""

from typing import ClassVar

from torch import Tensor, nn

from reglab.regularizers._class_probabilities import expected_at_targets, log_probabilities
from reglab.regularizers._order import LOSS
from reglab.regularizers.base import Regularizer, Step
from reglab.schema.strength import probability
from reglab.schema.task_kinds import SOFTMAX_OUTPUTS


def spread_excess(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over rows of (mean over classes of -log p) minus the cross entropy, a scalar.

    The smoothed cross entropy is the cross entropy plus epsilon times this.

    Args:
        outputs: logits (..., classes).
        targets: class indices (...), or class probabilities (..., classes).
    """
    log_p = log_probabilities(outputs)
    return (expected_at_targets(log_p, targets) - log_p.mean(-1)).mean()


class LabelSmoothing(Regularizer):
    """Replace the cross entropy by (1 - epsilon) · NLL + epsilon · mean over classes of NLL, in training only.

    Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision".

    Args:
        epsilon: at least 0 and below 1; 0 is off.
    """

    epsilon = probability(0.1, 0.05, 0.2, effect="less confident outputs")
    order: ClassVar = LOSS
    changes_cross_entropy: ClassVar = True
    requires_task: ClassVar = (SOFTMAX_OUTPUTS,)

    def attach(self, model: nn.Module) -> list[str]:
        return ["loss"]

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        assert step.outputs is not None, "the loss comes after the forward pass"
        return loss + self.epsilon * spread_excess(step.outputs, step.targets)
