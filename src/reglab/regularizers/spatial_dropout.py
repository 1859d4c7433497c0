"""Spatial dropout: whole channels of feature maps are set to zero at random."""

import torch
from torch import Tensor

from reglab.regularizers._activation_noise import MapNoise
from reglab.regularizers.dropout import zero_and_rescale
from reglab.schema.strength import probability


def thinned_channels(maps: Tensor, draws: Tensor, p: Tensor) -> Tensor:
    """Set channels whose draw is below p to zero, and divide the others by 1 - p.

    For uniform draws the mean is preserved. At p = 0 the maps are returned unchanged, bit for bit. Tompson et al. 2015,
    "Efficient Object Localization Using Convolutional Networks".

    Args:
        maps: (rows, channels, *positions).
        draws: (rows, channels), in [0, 1).
        p: 0-dim, at least 0 and below 1.
    """
    return zero_and_rescale(maps, draws.reshape(*draws.shape, *[1] * (maps.ndim - 2)), p)


class SpatialDropout(MapNoise):
    """Drop each channel of each example with probability p after every hidden activation of a convolution.

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    p = probability(0.2, 0.05, 0.5, effect="noisy activations")

    def noisy(self, values: Tensor) -> Tensor:
        return thinned_channels(values, torch.rand(values.shape[:2], device=values.device), self.p)
