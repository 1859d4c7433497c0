"""Augmentation: random mirroring, cropping, shifting and scaling of images and signals."""

from typing import ClassVar

import torch
from torch import nn

from reglab.regularizers._batch_transforms import apply_view, view_from_draws
from reglab.regularizers._order import TRANSFORM
from reglab.regularizers.base import Batch, Regularizer, Step
from reglab.schema.strength import Search, Strength, probability
from reglab.schema.task_kinds import NUMERIC_INPUTS


class Augmentation(Regularizer):
    """Mirror, scale, shift and crop each example of a training batch at random.

    All four are one affine map of positions and one resampling with linear interpolation. Targets are unchanged.
    Simard, Steinkraus and Platt 2003, "Best Practices for Convolutional Neural Networks Applied to Visual Document
    Analysis"; Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks".

    Args:
        flip: probability of mirroring images left to right and signals in time, from 0 to 1; 0 is off.
        crop: largest share of the sides that is cut off, at least 0 and below 1, equal for height and width; the rest
            is at a random position and is enlarged to the original size; 0 is off.
        shift: largest shift along each axis as a share of the side, from 0 to 1, in both directions, filled with
            zeros; 0 is off.
        scale: the size is multiplied by a factor between 1 - scale and 1 + scale, about the center; at least 0 and
            below 1; 0 is off.
    """

    flip = Strength(0.0, Search(0.0, 0.5), maximum=1.0)
    crop = probability(0.0, 0.0, 0.3)
    shift = Strength(0.1, Search(0.0, 0.2), maximum=1.0)
    scale = probability(0.1, 0.0, 0.3)
    order: ClassVar = TRANSFORM
    requires_task: ClassVar = (NUMERIC_INPUTS,)
    input_dims: ClassVar = (2, 3)
    supports_padding: ClassVar = False

    def attach(self, model: nn.Module) -> list[str]:
        return ["batch"]

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        inputs, targets = batch
        rows, _, *sides = inputs.shape
        draws = torch.rand(3 + 2 * len(sides), rows, device=inputs.device)
        return apply_view(inputs, view_from_draws(draws, sides, self.flip, self.crop, self.shift, self.scale)), targets
