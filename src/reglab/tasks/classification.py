"""Classification: cross entropy, accuracy, balanced accuracy, calibration error."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from reglab.tasks.base import Task


class Classification(Task):
    """Classes 0 … C-1 from logits (rows, C).

    Args:
        classes: C.
    """

    kind: ClassVar[str] = "classification"

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross entropy; targets are class numbers (rows,) or shares of classes (rows, C)."""
        return F.cross_entropy(outputs, targets)

    def figures(self, outputs: Tensor, targets: Tensor, *, full: bool) -> dict[str, Tensor]:
        """``loss`` and ``accuracy``; with `full` also ``balanced_accuracy`` and ``ece``.

        ``ece`` is the expected calibration error in the L1 norm over 15 equal bins of confidence (Guo et al. 2017,
        "On Calibration of Modern Neural Networks").
        """
        outputs = outputs.float()
        figures = {
            "loss": F.cross_entropy(outputs, targets),
            "accuracy": multiclass_accuracy(outputs, targets, self.classes, average="micro", validate_args=False),
        }
        if full:
            figures["balanced_accuracy"] = balanced_accuracy(outputs.argmax(-1), targets, self.classes)
            figures["ece"] = multiclass_calibration_error(
                outputs.softmax(-1), targets, self.classes, n_bins=15, norm="l1", validate_args=False
            )
        return figures


def balanced_accuracy(predicted: Tensor, targets: Tensor, classes: int) -> Tensor:
    """The mean recall over the classes that occur in `targets`, both (rows,) class numbers.

    As scikit-learn's ``balanced_accuracy_score``. torchmetrics' macro accuracy counts a class that is predicted but
    absent from the targets as a recall of 0, which a small test part makes common.
    """
    right = torch.bincount(targets[predicted == targets], minlength=classes)
    there = torch.bincount(targets, minlength=classes)
    return (right[there > 0] / there[there > 0]).mean()
