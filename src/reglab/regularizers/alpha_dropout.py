"""Alpha dropout: for SELU networks, which keeps mean 0 and variance 1."""

import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._hooks import hidden_activations, moved
from reglab.regularizers._order import DROPOUT
from reglab.regularizers.base import BELOW_1, Regularizer
from reglab.regularizers.dropout import kept

# -scale · alpha of SELU: what it says to a very negative number, and what a dropped unit is set to.
SATURATED = -1.7580993408473766


def alpha_dropped(values: Tensor, draws: Tensor, p: Tensor) -> Tensor:
    """Values whose draw is below p are set to `SATURATED`; then all are scaled and shifted to keep two moments.

    With uniform draws values of mean 0 and variance 1 have these afterwards. At p = 0 they come back, bit for bit.
    Klambauer et al. 2017, "Self-Normalizing Neural Networks".

    Args:
        values: any shape.
        draws: in [0, 1), of the same shape.
        p: 0-dim, at least 0 and below 1.
    """
    scale = 1 / ((1 - p) * (1 + p * SATURATED**2)).sqrt()
    shift = -scale * p * SATURATED
    mask = kept(draws, p).mul_(scale)
    return (values * mask).add_(mask.mul(-SATURATED).add_(SATURATED * scale + shift)).to(values.dtype)


class AlphaDropout(Regularizer):
    """Alpha dropout after every hidden activation, anew at each training step; nothing in evaluation.

    Warns once where the model has activations other than SELU: there a dropped unit says what no unit of theirs does,
    and the moments that it keeps are not theirs.

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    off: ClassVar = {"p": 0.0}
    bounds: ClassVar = {"p": (0.0, BELOW_1)}
    effects: ClassVar = {"p": "noisy activations"}
    draws: ClassVar = "activations"
    acts: ClassVar = DROPOUT
    random_forward: ClassVar = True
    acts_on: ClassVar = "activations"
    needs: ClassVar = "it needs activation modules between layers, nn.SELU (model.activation=selu)"
    p: Tensor

    def __init__(self, p: float) -> None:
        super().__init__(p=p)
        self._handles: list[Any] = []

    def attach(self, model: nn.Module) -> list[str]:
        layers = hidden_activations(model)
        if others := sorted({type(layer).__name__ for layer in layers.values() if not isinstance(layer, nn.SELU)}):
            warnings.warn(
                f"regularizer=alpha_dropout: is for SELU, and this model has {', '.join(others)}; "
                "set model.activation=selu, or choose regularizer=dropout",
                stacklevel=2,
            )
        self._handles = moved(self._handles, layers.values(), self._drop)
        return list(layers)

    def _drop(self, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return (
            alpha_dropped(output, torch.rand(output.shape, device=output.device), self.p) if layer.training else output
        )
