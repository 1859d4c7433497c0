"""CutMix: a box of each training image is replaced by that of another, and labels are mixed by area."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._batch_transforms import beta_draws, blend, box_masks, random_centers
from reglab.regularizers._class_probabilities import as_probabilities
from reglab.regularizers._order import MIX
from reglab.regularizers.base import Batch, Regularizer, Step
from reglab.schema.strength import coefficient
from reglab.schema.task_kinds import NUMERIC_INPUTS, SOFTMAX_OUTPUTS


def box_sides(images: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Return height and width in whole pixels of boxes with the proportions of the image and an area of 1 - share.

    Rounded down.

    Args:
        images: (rows, channels, height, width).
        share: share of the area outside of the box, (rows,), from 0 to 1.
    """
    ratio = (1 - share).sqrt()
    return (images.shape[-2] * ratio).floor(), (images.shape[-1] * ratio).floor()


def pasted(batch: Batch, partners: Tensor, mask: Tensor) -> Batch:
    """Replace the pixels under the mask by those of a partner image, and mix the labels by area.

    Args:
        batch: images (rows, channels, height, width) and class probabilities (rows, classes).
        partners: (rows,) row indices.
        mask: (rows, 1, height, width) of bool.
    """
    images, targets = batch
    share = 1 - mask.flatten(1).to(targets.dtype).mean(1)
    return torch.where(mask, images[partners], images), blend(targets, targets[partners], share)


class Cutmix(Regularizer):
    """Paste a box of a random partner from the batch into each image, of an area drawn from Beta(alpha, alpha).

    Labels are mixed by the area of the box after clipping at the edges (Yun et al. 2019, "CutMix: Regularization
    Strategy to Train Strong Classifiers with Localizable Features"). One box and one partner for each image.

    Args:
        alpha: at least 0; 0 is off.
    """

    alpha = coefficient(1.0, 0.2, 2.0, effect="cutmix")
    order: ClassVar = MIX
    requires_task: ClassVar = (NUMERIC_INPUTS, SOFTMAX_OUTPUTS)
    input_dims: ClassVar = (3,)
    conflicts: ClassVar = {"mixup": "both mix pairs of examples, so that each image would be a mixture of four"}

    def attach(self, model: nn.Module) -> list[str]:
        return ["batch"]

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        images, targets = batch
        partners = torch.randperm(len(images), device=images.device)
        sides = box_sides(images, beta_draws(self.alpha, len(images)))
        mask = box_masks(images, random_centers(images), sides)
        return pasted((images, as_probabilities(targets, step.task, images.dtype)), partners, mask)
