"""Spatial dropout: whole channels of feature maps are left out."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._hooks import map_activations, moved
from reglab.regularizers._order import DROPOUT
from reglab.regularizers.base import BELOW_1, Regularizer
from reglab.regularizers.dropout import thinned


def thinned_channels(maps: Tensor, draws: Tensor, p: Tensor) -> Tensor:
    """Channels whose draw is below p become zero throughout, the others maps / (1 - p).

    With uniform draws the mean stays. At p = 0 the maps come back, bit for bit. Tompson et al. 2015, "Efficient Object
    Localization Using Convolutional Networks".

    Args:
        maps: (rows, channels, *positions).
        draws: (rows, channels), in [0, 1).
        p: 0-dim, at least 0 and below 1.
    """
    return thinned(maps, draws.reshape(*draws.shape, *[1] * (maps.ndim - 2)), p)


class SpatialDropout(Regularizer):
    """Drops each channel of each example with probability p after every hidden activation of a convolution.

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    off: ClassVar = {"p": 0.0}
    bounds: ClassVar = {"p": (0.0, BELOW_1)}
    effects: ClassVar = {"p": "noisy activations"}
    acts: ClassVar = DROPOUT
    random_forward: ClassVar = True
    dims: ClassVar = (2, 3)
    acts_on: ClassVar = "maps"
    needs: ClassVar = "it needs activation modules (nn.ReLU, ...) after convolutions, as in model=cnn"
    p: Tensor

    def __init__(self, p: float) -> None:
        super().__init__(p=p)
        self._handles: list[Any] = []

    def attach(self, model: nn.Module) -> list[str]:
        layers = map_activations(model)
        self._handles = moved(self._handles, layers.values(), self._drop_channels)
        return list(layers)

    def _drop_channels(self, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        if not layer.training or output.ndim < 3:  # a module that linear layers share with convolutions
            return output
        return thinned_channels(output, torch.rand(output.shape[:2], device=output.device), self.p)
