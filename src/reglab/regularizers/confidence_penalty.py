"""Confidence penalty: the loss falls by a share of the entropy of what the network says."""

from typing import ClassVar

from torch import Tensor, nn

from reglab.regularizers._order import PENALTY
from reglab.regularizers._shares import log_shares
from reglab.regularizers.base import Regularizer, Step


def mean_entropy(outputs: Tensor) -> Tensor:
    """Mean over rows of -Σ p log p in nats, a scalar from 0 to log(classes).

    From log p and never the log of p, which is minus infinity where p has become 0.

    Args:
        outputs: logits (..., classes).
    """
    log_p = log_shares(outputs)
    return -(log_p.exp() * log_p).sum(-1).mean()


class ConfidencePenalty(Regularizer):
    """Takes beta times the mean entropy of the outputs off the loss, so that being sure costs something.

    Pereyra et al. 2017, "Regularizing Neural Networks by Penalizing Confident Output Distributions". It looks at
    outputs alone, so that labels may be class numbers or shares of classes.

    Args:
        beta: at least 0; 0 is off.
    """

    off: ClassVar = {"beta": 0.0}
    bounds: ClassVar = {"beta": (0.0, float("inf"))}
    acts: ClassVar = PENALTY
    kinds: ClassVar = ("classification", "language modeling")
    effects: ClassVar = {"beta": "less sure outputs"}
    beta: Tensor

    def __init__(self, beta: float) -> None:
        super().__init__(beta=beta)

    def attach(self, model: nn.Module) -> list[str]:
        return ["loss"]

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        assert step.outputs is not None, "the loss comes after the forward pass"
        return loss - self.beta * mean_entropy(step.outputs)
