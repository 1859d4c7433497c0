"""Views of images and signals: mirrored, zoomed and moved, resampled once along each axis."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class View(NamedTuple):
    """Where each example's new positions come from, along every axis the same map from the middle.

    Attributes:
        mirror: (rows,) of bool, along the last axis.
        zoom: (rows,), positions of the example that one step in the view goes; below 1 enlarges.
        offsets: for each axis (rows,), positions from the example's middle to that of the view.
    """

    mirror: Tensor
    zoom: Tensor
    offsets: tuple[Tensor, ...]


def viewed(inputs: Tensor, view: View) -> Tensor:
    """The examples as the view shows them, 0 where it reaches beyond them; linear between positions.

    Every axis is resampled on its own, for nothing is rotated; together that is bilinear. ``grid_sample`` does the same
    with positions from -1 to 1, whose rounding blurs what moves by whole positions. Here these are exact, and a view
    that changes nothing gives the examples back, bit for bit.

    Args:
        inputs: (rows, channels, *positions), finite.
        view: for as many rows and axes.
    """
    last = inputs.ndim - 1
    for axis, offset in enumerate(view.offsets, start=2):
        side = inputs.shape[axis]
        middle = (side - 1) / 2
        steps = torch.arange(side, device=inputs.device) - middle
        there = steps * view.zoom.unsqueeze(-1) + offset.unsqueeze(-1)
        there = torch.where(view.mirror.unsqueeze(-1), -there, there) if axis == last else there
        inputs = _between(inputs, middle + there, axis)
    return inputs


def _between(values: Tensor, places: Tensor, axis: int) -> Tensor:
    """Values along an axis at places of their own for each row, (rows, side): a weighted sum of two neighbours."""
    below = places.floor()
    share = places - below
    total = _read(values, below, 1 - share, axis) + _read(values, below + 1, share, axis)
    return total.to(values.dtype)


def _read(values: Tensor, places: Tensor, weights: Tensor, axis: int) -> Tensor:
    side = values.shape[axis]
    shape = [len(values) if i == 0 else side if i == axis else 1 for i in range(values.ndim)]
    weights = torch.where((places >= 0) & (places < side), weights, 0)
    at = places.clamp(0, side - 1).long()
    return weights.reshape(shape) * values.gather(axis, at.reshape(shape).expand(values.shape))


def view(draws: Tensor, sides: Sequence[int], flip: Tensor, crop: Tensor, shift: Tensor, scale: Tensor) -> View:
    """The view that uniform draws choose: mirrored, then scaled, then shifted, then cropped.

    Args:
        draws: (3 + 2 * axes, rows), in [0, 1).
        sides: positions along each axis.
        flip, crop, shift, scale: 0-dim, as `Augmentation` has them.
    """
    mirror = draws[0] < flip
    cut = crop * draws[1]
    factor = 1 + scale * (2 * draws[2] - 1)
    places, shifts = (2 * draws[3:] - 1).split(len(sides))
    offsets = tuple(
        (cut * place * ((side - 1) / 2) - shift * side * move) / factor
        for place, move, side in zip(places, shifts, sides, strict=True)
    )
    return View(mirror, (1 - cut) / factor, offsets)
