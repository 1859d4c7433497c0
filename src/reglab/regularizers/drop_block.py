"""DropBlock: square patches of feature maps are left out, and runs of signals."""

from typing import ClassVar

import torch
from torch import Tensor

from reglab.regularizers._activation_noise import MapNoise
from reglab.schema.strength import Search, Strength, probability


def thinned_blocks(maps: Tensor, draws: Tensor, p: Tensor, block_size: Tensor) -> Tensor:
    """Blocks become zero, each position with probability p; the others are maps / (1 - p).

    A block begins where a draw is below gamma = 1 - (1 - p)^(1 / area), and what reaches over the end of a side comes
    back at its beginning. Ghiasi et al. 2018, "DropBlock: A Regularization Method for Convolutional Networks", take
    p / area, which overlaps make too small, and blocks inside the map only, for which they correct by its size. Here p
    is exact at every position, at the edges too, and the mean stays. At p = 0 the maps come back, bit for bit.

    Args:
        maps: (rows, channels, *positions), with one or two sides.
        draws: in [0, 1), of the same shape.
        p: 0-dim, at least 0 and below 1.
        block_size: 0-dim, side of a block, at least 1; along a shorter side of the map a block is as long as that.
    """
    sides = [block_size.clamp(max=side) for side in maps.shape[2:]]
    gamma = -torch.expm1(torch.log1p(-p) / torch.stack(sides).prod())
    # Numbers all along, as comparing and converting would take twice as long: above 0 is where blocks begin, then what
    # they reach. The sums that matrices of 0 and 1 make are of nothing below 0, so that no rounding hides one.
    blocks = (gamma - draws).clamp_min_(0)
    with torch.autocast(maps.device.type, enabled=False):
        blocks = blocks @ _reached(maps.shape[-1], sides[-1], draws)
        if len(sides) == 2:
            blocks = _reached(maps.shape[-2], sides[-2], draws).mT @ blocks
    return (maps * blocks.sign_().sub_(1).mul_(-1 / (1 - p))).to(maps.dtype)


def _reached(side: int, length: Tensor, like: Tensor) -> Tensor:
    """(side, side): 1 where a run of the length that begins at a row's place reaches a column's, around the end."""
    places = torch.arange(side, device=like.device)
    return ((places - places[:, None]) % side < length).to(like.dtype)


class DropBlock(MapNoise):
    """Drops blocks of each channel of each example after every hidden activation of a convolution.

    Args:
        p: probability of a position to be dropped, at least 0 and below 1; 0 is off.
        block_size: whole number, at least 1, side of a block in positions of the map; 1 is dropout number by number.
    """

    p = probability(0.1, 0.05, 0.2, disables=True, effect="noisy activations")
    block_size = Strength(3.0, Search(3.0, 7.0, step=2.0), minimum=1.0, off=1.0, whole=True)
    draws: ClassVar = "activations"

    def noisy(self, values: Tensor) -> Tensor:
        draws = torch.rand(values.shape, device=values.device)
        return thinned_blocks(values, draws, self.p, self.block_size)
