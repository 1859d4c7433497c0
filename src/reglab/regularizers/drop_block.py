"""DropBlock: square patches of feature maps are left out, and runs of signals."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._hooks import map_activations, moved
from reglab.regularizers._order import DROPOUT
from reglab.regularizers.base import BELOW_1, Regularizer


def drawn_shape(shape: torch.Size) -> tuple[int, ...]:
    """Shape of the draws for maps of a shape: the places where a block that reaches into the map may begin.

    For the largest block, so that it depends on no strength and runs with different ones can be stacked.
    """
    return (*shape[:2], *(2 * side - 1 for side in shape[2:]))


def thinned_blocks(maps: Tensor, draws: Tensor, p: Tensor, block_size: Tensor) -> Tensor:
    """Blocks become zero, each position with probability p; the others are maps / (1 - p).

    A block begins at a place whose draw is below gamma = 1 - (1 - p)^(1 / area). Ghiasi et al. 2018, "DropBlock: A
    Regularization Method for Convolutional Networks", take p / area, which overlaps make too small, and whole blocks
    only, for which they correct by the map's size. Here blocks may begin before the map and end behind it, so that p
    is exact at every position, at the edges too, and the mean stays. At p = 0 the maps come back, bit for bit.

    Args:
        maps: (rows, channels, *positions).
        draws: in [0, 1), of the shape that `drawn_shape` says.
        p: 0-dim, at least 0 and below 1.
        block_size: 0-dim, side of a block, at least 1; along a shorter side of the map a block is as long as that.
    """
    sides = [block_size.clamp(max=side).long() for side in maps.shape[2:]]
    area = torch.stack(sides).prod()
    dropped = draws < -torch.expm1(torch.log1p(-p) / area)
    for axis, side in enumerate(sides, start=2):
        dropped = _reached(dropped, side, axis)
    return (maps * (~dropped / (1 - p))).to(maps.dtype)


def _reached(begins: Tensor, length: Tensor, axis: int) -> Tensor:
    """Whether a run of the length covers a position: of 2 n - 1 places where it may begin, the last n are positions."""
    side = (begins.shape[axis] + 1) // 2
    counts = begins.cumsum(axis, dtype=torch.int32)
    counts = torch.cat([torch.zeros_like(counts.narrow(axis, 0, 1)), counts], axis)
    ends = torch.arange(side, 2 * side, device=begins.device)
    return counts.narrow(axis, side, side) > counts.index_select(axis, ends - length)


class DropBlock(Regularizer):
    """Drops blocks of each channel of each example after every hidden activation of a convolution.

    Args:
        p: probability of a position to be dropped, at least 0 and below 1; 0 is off.
        block_size: whole number, at least 1, side of a block in positions of the map; 1 is dropout number by number.
    """

    off: ClassVar = {"p": 0.0, "block_size": 1.0}
    bounds: ClassVar = {"p": (0.0, BELOW_1), "block_size": (1.0, float("inf"))}
    whole: ClassVar = ("block_size",)
    effects: ClassVar = {"p": "noisy activations"}
    acts: ClassVar = DROPOUT
    random_forward: ClassVar = True
    dims: ClassVar = (2, 3)
    acts_on: ClassVar = "maps"
    needs: ClassVar = "it needs activation modules (nn.ReLU, ...) after convolutions, as in model=cnn"
    p: Tensor
    block_size: Tensor

    def __init__(self, p: float, block_size: float) -> None:
        super().__init__(p=p, block_size=block_size)
        self._handles: list[Any] = []

    def attach(self, model: nn.Module) -> list[str]:
        layers = map_activations(model)
        self._handles = moved(self._handles, layers.values(), self._drop_blocks)
        return list(layers)

    def _drop_blocks(self, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        if not layer.training or output.ndim < 3:  # a module that linear layers share with convolutions
            return output
        draws = torch.rand(drawn_shape(output.shape), device=output.device)
        return thinned_blocks(output, draws, self.p, self.block_size)
