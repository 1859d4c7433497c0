"""DropBlock: blocks of neighbouring positions of feature maps are set to zero."""

from typing import ClassVar

import torch
from torch import Tensor

from reglab.regularizers._activation_noise import MapNoise
from reglab.schema.strength import Search, Strength, probability


def thinned_blocks(maps: Tensor, draws: Tensor, p: Tensor, block_size: Tensor) -> Tensor:
    """Set blocks to zero, each position with probability p, and divide the others by 1 - p.

    A block begins where a draw is below gamma = 1 - (1 - p)^(1 / area), and is continued cyclically at the beginning of
    a side. Ghiasi et al. 2018, "DropBlock: A Regularization Method for Convolutional Networks", use p / area, which is
    too small because of overlaps, and blocks inside the map only, with a correction for its size. Here p is exact at
    every position, and the mean is preserved. At p = 0 the maps are returned unchanged, bit for bit.

    Args:
        maps: (rows, channels, *positions), with one or two sides.
        draws: uniform draws in [0, 1), of the same shape.
        p: 0-dim, at least 0 and below 1.
        block_size: 0-dim, side of a block, at least 1; limited to the side of the map.
    """
    sides = [block_size.clamp(max=side) for side in maps.shape[2:]]
    gamma = -torch.expm1(torch.log1p(-p) / torch.stack(sides).prod())
    # Numbers above 0 mark where blocks begin, then all positions of blocks; comparing and converting would take twice
    # as long. Sums with matrices of 0 and 1 have no negative terms, so that rounding cannot hide a block.
    blocks = (gamma - draws).clamp_min_(0)
    with torch.autocast(maps.device.type, enabled=False):
        blocks = blocks @ _cyclic_band(maps.shape[-1], sides[-1], draws)
        if len(sides) == 2:
            blocks = _cyclic_band(maps.shape[-2], sides[-2], draws).mT @ blocks
    return (maps * blocks.sign_().sub_(1).mul_(-1 / (1 - p))).to(maps.dtype)


def _cyclic_band(side: int, length: Tensor, like: Tensor) -> Tensor:
    """Return the matrix (side, side) with 1 where column - row, modulo side, is below the length, and 0 elsewhere."""
    positions = torch.arange(side, device=like.device)
    return ((positions - positions[:, None]) % side < length).to(like.dtype)


class DropBlock(MapNoise):
    """Drop blocks of each channel of each example after every hidden activation of a convolution.

    Args:
        p: probability to drop a position, at least 0 and below 1; 0 is off.
        block_size: side of a block in positions of the map, a whole number, at least 1; 1 is elementwise dropout.
    """

    p = probability(0.1, 0.05, 0.2, disables=True, effect="noisy activations")
    block_size = Strength(3.0, Search(3.0, 7.0, step=2.0), minimum=1.0, off=1.0, whole=True)
    draws: ClassVar = "activations"

    def noisy(self, values: Tensor) -> Tensor:
        draws = torch.rand(values.shape, device=values.device)
        return thinned_blocks(values, draws, self.p, self.block_size)
