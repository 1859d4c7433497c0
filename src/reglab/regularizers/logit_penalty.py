"""Logit penalty (z-loss): the log-sum-exp of the logits is pulled to 0."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._order import PENALTY
from reglab.regularizers.base import Regularizer, Step
from reglab.schema.strength import coefficient
from reglab.schema.task_kinds import SOFTMAX_OUTPUTS


def squared_log_z(outputs: Tensor) -> Tensor:
    """Return the mean over rows of log² Z, with Z = Σ exp(logit) over the classes; a scalar of at least 0.

    Args:
        outputs: logits (..., classes), converted to at least float32, since bfloat16 has three digits.
    """
    exact = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    return exact.logsumexp(-1).square().mean()


class LogitPenalty(Regularizer):
    """Add strength · log² Z to the loss; the softmax is independent of Z.

    Chowdhery et al. 2022, "PaLM: Scaling Language Modeling with Pathways"; before it de Brébisson and Vincent 2016,
    "The Z-loss".

    Args:
        strength: at least 0; 0 is off.
    """

    strength = coefficient(0.0001, 1e-6, 0.01, effect="logit penalty")
    order: ClassVar = PENALTY
    requires_task: ClassVar = (SOFTMAX_OUTPUTS,)

    def attach(self, model: nn.Module) -> list[str]:
        return ["loss"]

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        assert step.outputs is not None, "the loss comes after the forward pass"
        return loss + self.strength * squared_log_z(step.outputs)
