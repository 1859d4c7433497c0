"""KL penalty on activations: the mean activation of each sigmoid unit is pulled to a small value."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._layers import batch_axes, hidden_activations
from reglab.regularizers._order import PENALTY
from reglab.regularizers._recorder import Activation, ActivationRecorder
from reglab.regularizers.base import Regularizer, Step
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.strength import coefficient

SHARE = 0.05  # target of the mean activation


def activity_divergence(activations: list[Tensor], share: float = SHARE) -> Tensor:
    """Return Σ KL(share ‖ mean activation over the examples) over the units of all layers, a scalar, at least 0.

    KL of two Bernoulli variables: share · log(share / mean) + (1 - share) · log((1 - share) / (1 - mean)). Means are
    clamped to [eps, 1 - eps], with the machine epsilon eps, so that the sum is finite. Lee, Ekanadham and Ng
    2008, "Sparse Deep Belief Net Model for Visual Area V2"; in this form Ng 2011, "Sparse Autoencoder".

    Args:
        activations: activations of each layer, (rows, *units), in [0, 1].
        share: target of the means, above 0 and below 1.
    """
    return torch.stack([_divergence(layer.mean(0), share) for layer in activations]).sum()


def _divergence(means: Tensor, share: float) -> Tensor:
    eps = torch.finfo(means.dtype).eps
    means = means.clamp(eps, 1 - eps)
    return (share * (share / means).log() + (1 - share) * ((1 - share) / (1 - means)).log()).sum()


class ActivityKL(Regularizer):
    """Add strength · `activity_divergence` of all hidden activations, which must be sigmoids, to the loss.

    Args:
        strength: at least 0; 0 is off.
    """

    strength = coefficient(0.001, 1e-5, 0.1, effect="sparse activations")
    order: ClassVar = PENALTY
    requires: ClassVar = "activations"
    supports_padding: ClassVar = False
    required_activation: ClassVar = "sigmoid"
    requirement: ClassVar = "it needs sigmoid modules between layers (nn.Sigmoid, model.activation=sigmoid)"

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._recorder = ActivationRecorder(self.name)
        self._axes: dict[nn.Module, int] = {}

    def attach(self, model: nn.Module) -> list[str]:
        layers = hidden_activations(model)
        if others := sorted({type(layer).__name__ for layer in layers.values() if not isinstance(layer, nn.Sigmoid)}):
            raise ConfigError(
                Setting("regularizer", "activity_kl"),
                f"is for sigmoid activations, between 0 and 1, and this model has {', '.join(others)}",
                "set model.activation=sigmoid, or choose regularizer=activity_l1",
            )
        self._recorder.attach(model, layers)
        self._axes = batch_axes(model)
        return list(layers)

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        rows = len(step.inputs)
        outputs = [self._examples_first(activation, rows) for activation in self._recorder.pop()]
        return loss + self.strength * activity_divergence(outputs) if outputs else loss  # nothing in evaluation

    def _examples_first(self, activation: Activation, rows: int) -> Tensor:
        """Return the values as (rows, *units); each position of a sequence has separate units."""
        name, layer, values = activation
        axis = self._axes.get(layer, 0)
        if axis >= values.ndim or values.shape[axis] != rows:
            raise ConfigError(
                Setting("regularizer", "activity_kl"),
                f"needs outputs of shape (batch, ...) for means over the {rows} examples; {name} returned shape "
                f"{tuple(values.shape)}, whose axis {axis} is not the batch",
                "return (batch, ...), or choose regularizer=activity_l1",
            )
        return values.movedim(axis, 0)
