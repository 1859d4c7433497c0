"""L1 penalty on activations, for sparse hidden units."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._layers import hidden_activations
from reglab.regularizers._order import PENALTY
from reglab.regularizers._recorder import ActivationRecorder
from reglab.regularizers.base import Regularizer, Step
from reglab.schema.strength import coefficient


def absolute_activity(activations: list[Tensor], rows: int) -> Tensor:
    """Return the mean over examples of Σ |h| over the units of all layers, a scalar.

    Glorot, Bordes and Bengio 2011, "Deep Sparse Rectifier Neural Networks".

    Args:
        activations: activations of each layer, of any shape.
        rows: number of examples.
    """
    return torch.stack([layer.abs().sum() / rows for layer in activations]).sum()


class ActivityL1(Regularizer):
    """Add strength · `absolute_activity` of all hidden activations to the loss.

    Args:
        strength: at least 0; 0 is off.
    """

    strength = coefficient(0.0001, 1e-6, 0.01, effect="sparse activations")
    order: ClassVar = PENALTY
    requires: ClassVar = "activations"
    supports_padding: ClassVar = False
    requirement: ClassVar = "it needs activation modules (nn.ReLU, ...) between layers"

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._recorder = ActivationRecorder(self.name)

    def attach(self, model: nn.Module) -> list[str]:
        layers = hidden_activations(model)
        self._recorder.attach(model, layers)
        return list(layers)

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        rows = len(step.inputs)
        outputs = [activation.values for activation in self._recorder.pop()]
        return loss + self.strength * absolute_activity(outputs, rows) if outputs else loss  # nothing in evaluation
