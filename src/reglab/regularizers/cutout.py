"""Cutout: a random square of each training image is set to zero."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._batch_transforms import box_masks, random_centers
from reglab.regularizers._order import TRANSFORM
from reglab.regularizers.base import Batch, Regularizer, Step
from reglab.schema.strength import Search, Strength
from reglab.schema.task_kinds import NUMERIC_INPUTS


def cut_out(images: Tensor, centers: tuple[Tensor, Tensor], size: Tensor) -> Tensor:
    """Set a square of size · size pixels to 0 in all channels of each image, clipped at the edges.

    Args:
        images: (rows, channels, height, width).
        centers: row and column of each square's center, (rows,) each.
        size: 0-dim, whole number, at least 0; 0 returns the images unchanged, bit for bit.
    """
    return torch.where(box_masks(images, centers, (size, size)), 0, images)


class Cutout(Regularizer):
    """Set a square around a random pixel of each training image to zero.

    The center may be any pixel, so that squares near an edge are partly outside, as in the paper (DeVries and Taylor
    2017, "Improved Regularization of Convolutional Neural Networks with Cutout"). 0 is the background of images from 0
    to 1, and the mean of standardized images.

    Args:
        size: side of the square in pixels, a whole number of at least 0; 0 is off.
    """

    size = Strength(4.0, Search(2.0, 8.0), whole=True, effect="cutout", probe=10000.0)
    order: ClassVar = TRANSFORM
    requires_task: ClassVar = (NUMERIC_INPUTS,)
    input_dims: ClassVar = (3,)

    def attach(self, model: nn.Module) -> list[str]:
        return ["batch"]

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        inputs, targets = batch
        return cut_out(inputs, random_centers(inputs), self.size), targets
