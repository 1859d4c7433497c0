"""Alpha dropout for SELU networks, which preserves mean 0 and variance 1."""

import warnings
from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._activation_noise import ActivationNoise
from reglab.regularizers.dropout import keep_mask
from reglab.schema.strength import probability

# -scale · alpha of SELU: its limit for very negative inputs, and the value of dropped units.
SATURATED = -1.7580993408473766


def alpha_dropped(values: Tensor, draws: Tensor, p: Tensor) -> Tensor:
    """Set values whose draw is below p to `SATURATED`, then scale and shift all to preserve mean 0 and variance 1.

    The moments are preserved for uniform draws. At p = 0 the values are returned unchanged, bit for bit.
    Klambauer et al. 2017, "Self-Normalizing Neural Networks".

    Args:
        values: any shape.
        draws: uniform draws in [0, 1), of the same shape.
        p: 0-dim, at least 0 and below 1.
    """
    scale = 1 / ((1 - p) * (1 + p * SATURATED**2)).sqrt()
    shift = -scale * p * SATURATED
    mask = keep_mask(draws, p).mul_(scale)
    return (values * mask).add_(mask.mul(-SATURATED).add_(SATURATED * scale + shift)).to(values.dtype)


class AlphaDropout(ActivationNoise):
    """Alpha dropout after every hidden activation, with new draws in each training pass; off in evaluation.

    Warns if the model has activations other than SELU, whose moments are not preserved.

    Args:
        p: probability of dropping a unit, at least 0 and below 1; 0 is off.
    """

    p = probability(0.1, 0.05, 0.2, effect="noisy activations")
    draws: ClassVar = "activations"
    requirement: ClassVar = "it needs activation modules between layers, nn.SELU (model.activation=selu)"

    def attach(self, model: nn.Module) -> list[str]:
        kinds = {type(layer).__name__ for layer in self.layers(model).values() if not isinstance(layer, nn.SELU)}
        if kinds:
            warnings.warn(
                f"regularizer=alpha_dropout: is for SELU, and this model has {', '.join(sorted(kinds))}; "
                "set model.activation=selu, or choose regularizer=dropout",
                stacklevel=2,
            )
        return super().attach(model)

    def noisy(self, values: Tensor) -> Tensor:
        return alpha_dropped(values, torch.rand(values.shape, device=values.device), self.p)
