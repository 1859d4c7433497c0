"""Confidence penalty: the loss falls by a share of the entropy of what the network says."""

from typing import ClassVar

from torch import Tensor, nn

from reglab.regularizers._class_probabilities import log_probabilities
from reglab.regularizers._order import PENALTY
from reglab.regularizers.base import Regularizer, Step
from reglab.schema.strength import coefficient
from reglab.schema.task_kinds import SOFTMAX_OUTPUTS


def mean_entropy(outputs: Tensor) -> Tensor:
    """Mean over rows of -Σ p log p in nats, a scalar from 0 to log(classes).

    From log p and never the log of p, which is minus infinity where p has become 0.

    Args:
        outputs: logits (..., classes).
    """
    log_p = log_probabilities(outputs)
    return -(log_p.exp() * log_p).sum(-1).mean()


class ConfidencePenalty(Regularizer):
    """Takes beta times the mean entropy of the outputs off the loss, so that being sure costs something.

    Pereyra et al. 2017, "Regularizing Neural Networks by Penalizing Confident Output Distributions". It looks at
    outputs alone, so that labels may be class numbers or shares of classes.

    Args:
        beta: at least 0; 0 is off.
    """

    beta = coefficient(0.1, 0.01, 0.5, effect="less sure outputs")
    order: ClassVar = PENALTY
    requires_task: ClassVar = (SOFTMAX_OUTPUTS,)

    def attach(self, model: nn.Module) -> list[str]:
        return ["loss"]

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        assert step.outputs is not None, "the loss comes after the forward pass"
        return loss - self.beta * mean_entropy(step.outputs)
