"""Confidence penalty: a multiple of the entropy of the outputs is subtracted from the loss."""

from typing import ClassVar

from torch import Tensor, nn

from reglab.regularizers._class_probabilities import log_probabilities
from reglab.regularizers._order import PENALTY
from reglab.regularizers.base import Regularizer, Step
from reglab.schema.strength import coefficient
from reglab.schema.task_kinds import SOFTMAX_OUTPUTS


def mean_entropy(outputs: Tensor) -> Tensor:
    """Return the mean over rows of -Σ p log p in nats, a scalar from 0 to log(classes).

    Computed from the log-softmax, since the logarithm of a p that underflowed to 0 is minus infinity.

    Args:
        outputs: logits (..., classes).
    """
    log_p = log_probabilities(outputs)
    return -(log_p.exp() * log_p).sum(-1).mean()


class ConfidencePenalty(Regularizer):
    """Subtract beta times the mean entropy of the outputs from the loss, which penalizes confident outputs.

    Pereyra et al. 2017, "Regularizing Neural Networks by Penalizing Confident Output Distributions". Independent of
    the labels.

    Args:
        beta: at least 0; 0 is off.
    """

    beta = coefficient(0.1, 0.01, 0.5, effect="less confident outputs")
    order: ClassVar = PENALTY
    requires_task: ClassVar = (SOFTMAX_OUTPUTS,)

    def attach(self, model: nn.Module) -> list[str]:
        return ["loss"]

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        assert step.outputs is not None, "the loss comes after the forward pass"
        return loss - self.beta * mean_entropy(step.outputs)
