"""Random transforms of batches: mixtures of examples, boxes in images, resampled views of images and signals."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

TRIES = 8  # proposals for each draw, each accepted with a probability above .95


def beta_draws(alpha: Tensor, rows: int) -> Tensor:
    """Draw from Beta(alpha, alpha) with the global generator; 1 if alpha is 0.

    Computed as G / (G + G') with two Gamma(alpha) variables (Marsaglia and Tsang 2000, "A Simple Method for Generating
    Gamma Variables"). The random numbers do not depend on alpha, since under vmap torch's Gamma does not support
    ``randomness="same"`` for a stack of alphas. Logarithms avoid the underflow of both variables at a small alpha,
    where their ratio would be ½.

    Args:
        alpha: 0-dim, at least 0; clamped to at least 1e-6, where all draws are 0 or 1.
        rows: number of draws.

    Returns:
        (rows,), from 0 to 1, on alpha's device.
    """
    like: dict[str, Any] = {"device": alpha.device, "dtype": alpha.dtype}
    positive = alpha.clamp_min(1e-6)
    d = positive + 2 / 3  # for Gamma(alpha + 1); times U^(1 / alpha) it is Gamma(alpha)
    # The last proposal is 0, which is always accepted; one of 10^10 draws needs it.
    normal = torch.cat([torch.randn(2, rows, TRIES, **like), torch.zeros(2, rows, 1, **like)], -1)
    height = 1 - torch.rand(2, rows, TRIES + 1, **like)
    cube = (1 + normal / (9 * d).sqrt()) ** 3
    # The logarithm of a negative number is NaN, for which the comparison is false.
    accepted = height.log() <= normal.square() / 2 + d * (1 - cube + cube.log())
    first = accepted & (accepted.cumsum(-1) == 1)
    gamma = d * torch.where(first, cube, 0).sum(-1)
    log_gamma = gamma.log() + (1 - torch.rand(2, rows, **like)).log() / positive
    return torch.where(alpha > 0, (log_gamma[0] - log_gamma[1]).sigmoid(), 1)


def blend(values: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """Return share · values + (1 - share) · others for each row; a share of 1 returns the values bit for bit.

    Signals (rows, channels, length) may be padded with NaN: after the end of the other signal the values are kept
    unchanged, and after the end of the signal itself the result is NaN.

    Args:
        values: (rows, ...), as `others`.
        share: (rows,), from 0 to 1.
    """
    if values.ndim == 3:
        others = torch.where(others.isnan(), values, others)
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    return (share * values + (1 - share) * others).to(values.dtype)


def random_centers(images: Tensor) -> tuple[Tensor, Tensor]:
    """Draw a uniform pixel for each image (rows, channels, height, width): its row and its column, (rows,) each."""
    rows, _, height, width = images.shape
    down = torch.randint(height, (rows,), device=images.device)
    return down, torch.randint(width, (rows,), device=images.device)


def box_masks(images: Tensor, centers: tuple[Tensor, Tensor], sides: tuple[Tensor, Tensor]) -> Tensor:
    """Return masks that are true for the pixels in each image's box, clipped at the edges.

    Args:
        images: (rows, channels, height, width).
        centers: row and column of each box's center pixel, (rows,) each.
        sides: height and width of each box in whole pixels, 0-dim or (rows,), as tensors so that no shape depends on
            them; the center of an even side is the pixel after the middle.

    Returns:
        (rows, 1, height, width) of bool.
    """
    height, width = images.shape[-2:]
    down = _in_interval(height, centers[0], sides[0])[:, :, None]
    across = _in_interval(width, centers[1], sides[1])[:, None, :]
    return (down & across).unsqueeze(1)


def _in_interval(length: int, center: Tensor, side: Tensor) -> Tensor:
    pixels = torch.arange(length, device=center.device)
    start = (center - (side / 2).floor()).unsqueeze(-1)
    return (pixels >= start) & (pixels < start + side.unsqueeze(-1))


class View(NamedTuple):
    """Affine map from positions of the output to positions of each example, relative to the center.

    Attributes:
        mirror: (rows,) of bool; reflects the last axis.
        zoom: (rows,), distance in the example between neighbouring positions of the output; below 1 enlarges.
        offsets: center of the view relative to the center of the example, in positions: (rows,) for each axis.
    """

    mirror: Tensor
    zoom: Tensor
    offsets: tuple[Tensor, ...]


def apply_view(inputs: Tensor, view: View) -> Tensor:
    """Resample the examples by linear interpolation, with 0 outside.

    Each axis is resampled separately, which together is bilinear. Unlike ``grid_sample``, whose positions from -1 to 1
    are rounded, shifts by whole positions are exact, and the identity returns the examples unchanged, bit for bit.

    Args:
        inputs: (rows, channels, *positions), finite.
        view: view with the same number of rows and axes.
    """
    last = inputs.ndim - 1
    for axis, offset in enumerate(view.offsets, start=2):
        side = inputs.shape[axis]
        middle = (side - 1) / 2
        steps = torch.arange(side, device=inputs.device) - middle
        positions = steps * view.zoom.unsqueeze(-1) + offset.unsqueeze(-1)
        positions = torch.where(view.mirror.unsqueeze(-1), -positions, positions) if axis == last else positions
        inputs = _interpolated(inputs, middle + positions, axis)
    return inputs


def _interpolated(values: Tensor, positions: Tensor, axis: int) -> Tensor:
    """Return the values at positions (rows, side) along an axis: a weighted sum of two neighbours."""
    below = positions.floor()
    share = positions - below
    total = _weighted(values, below, 1 - share, axis) + _weighted(values, below + 1, share, axis)
    return total.to(values.dtype)


def _weighted(values: Tensor, positions: Tensor, weights: Tensor, axis: int) -> Tensor:
    side = values.shape[axis]
    shape = [len(values) if i == 0 else side if i == axis else 1 for i in range(values.ndim)]
    weights = torch.where((positions >= 0) & (positions < side), weights, 0)
    indices = positions.clamp(0, side - 1).long()
    return weights.reshape(shape) * values.gather(axis, indices.reshape(shape).expand(values.shape))


def view_from_draws(
    draws: Tensor, sides: Sequence[int], flip: Tensor, crop: Tensor, shift: Tensor, scale: Tensor
) -> View:
    """Return the view for uniform draws: mirrored, then scaled, shifted and cropped.

    Args:
        draws: (3 + 2 * axes, rows), in [0, 1).
        sides: positions along each axis.
        flip, crop, shift, scale: 0-dim, see `Augmentation`.
    """
    mirror = draws[0] < flip
    cut = crop * draws[1]
    factor = 1 + scale * (2 * draws[2] - 1)
    positions, shifts = (2 * draws[3:] - 1).split(len(sides))
    offsets = tuple(
        (cut * position * ((side - 1) / 2) - shift * side * move) / factor
        for position, move, side in zip(positions, shifts, sides, strict=True)
    )
    return View(mirror, (1 - cut) / factor, offsets)
