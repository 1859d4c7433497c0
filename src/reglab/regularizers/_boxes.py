"""Boxes in images, as masks: their sizes are tensors, and no shape depends on them."""

import torch
from torch import Tensor


def random_centers(images: Tensor) -> tuple[Tensor, Tensor]:
    """A pixel for each image (rows, channels, height, width), uniformly: (rows,) of rows, (rows,) of columns."""
    rows, _, height, width = images.shape
    down = torch.randint(height, (rows,), device=images.device)
    return down, torch.randint(width, (rows,), device=images.device)


def boxes(images: Tensor, centers: tuple[Tensor, Tensor], sides: tuple[Tensor, Tensor]) -> Tensor:
    """Whether a pixel is in its image's box, which is clipped where it reaches over an edge.

    Args:
        images: (rows, channels, height, width).
        centers: row and column of each box's middle pixel, (rows,) each.
        sides: whole numbers of pixels, height and width of each box, 0-dim or (rows,); the middle of an even side is
            the pixel after it.

    Returns:
        (rows, 1, height, width) of bool.
    """
    height, width = images.shape[-2:]
    down = _between(height, centers[0], sides[0])[:, :, None]
    across = _between(width, centers[1], sides[1])[:, None, :]
    return (down & across).unsqueeze(1)


def _between(length: int, center: Tensor, side: Tensor) -> Tensor:
    pixels = torch.arange(length, device=center.device)
    start = (center - (side / 2).floor()).unsqueeze(-1)
    return (pixels >= start) & (pixels < start + side.unsqueeze(-1))
