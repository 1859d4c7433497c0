"""Dropout: units are set to zero at random in training."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._activation_noise import ActivationNoise
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.strength import probability


def keep_mask(draws: Tensor, p: Tensor) -> Tensor:
    """Return 1 where a draw is at least p, else 0.

    Computed by rounding down, because a comparison and a conversion take three times as long.

    Args:
        draws: uniform draws in [0, 1), of any shape.
        p: 0-dim, at least 0 and below 1.
    """
    return (draws - p).floor_().add_(1)


def zero_and_rescale(values: Tensor, draws: Tensor, p: Tensor) -> Tensor:
    """Set values whose draw is below p to zero, and divide the others by 1 - p.

    For uniform draws the mean is preserved and the variance is values² · p / (1 - p). At p = 0 the values are returned
    unchanged, bit for bit.

    Args:
        values: any shape.
        draws: uniform draws in [0, 1), of the same shape or of one that broadcasts to it.
        p: 0-dim, at least 0 and below 1.
    """
    mask = keep_mask(draws, p).div_(1 - p)
    return (values * mask).to(values.dtype)  # in bfloat16 the rounding of 1 / (1 - p) would shift the mean


def dropped(values: Tensor, p: Tensor) -> Tensor:
    """Apply `zero_and_rescale` with one draw per value from the global generator."""
    return zero_and_rescale(values, torch.rand(values.shape, device=values.device), p)


class Dropout(ActivationNoise):
    """Dropout after every hidden activation with probability p, and on the model's inputs with `input_p`.

    Applied by forward hooks in training mode, so that layers and state dict keys do not change (Srivastava et al. 2014,
    "Dropout: A Simple Way to Prevent Neural Networks from Overfitting").

    Args:
        p: at least 0 and below 1; 0 is off.
        input_p: at least 0 and below 1; 0 is off and draws nothing.
    """

    p = probability(0.5, 0.1, 0.6, effect="noisy activations")
    input_p = probability(0.0, 0.0, 0.2, effect="noisy inputs", on_inputs=True)
    draws: ClassVar = "activations"
    requirement: ClassVar = (
        "it needs activation modules (nn.ReLU, ...) between layers; without them set regularizer.dropout.input_p"
    )

    def attach(self, model: nn.Module) -> list[str]:
        layers = super().attach(model)
        if not self.input_p > 0:
            return layers
        self._handles = [*self._handles, model.register_forward_pre_hook(self._drop_input)]
        return ["inputs", *layers]

    def noisy(self, values: Tensor) -> Tensor:
        return dropped(values, self.p)

    def _drop_input(self, model: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if not model.training:
            return inputs
        if not inputs or not isinstance(inputs[0], Tensor) or not inputs[0].is_floating_point():
            raise ConfigError(
                Setting("regularizer.dropout.input_p", f"{float(self.input_p):g}"),
                "needs one floating-point tensor as input",
                "set it to 0, or choose regularizer=token_dropout for a decoder",
            )
        return (dropped(inputs[0], self.input_p), *inputs[1:])
