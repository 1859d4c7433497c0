"""Classification: cross entropy, accuracy, balanced accuracy, calibration error."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_stat_scores

from reglab.tasks.base import Task, exact


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
        """``loss`` and ``accuracy``; with `full` also ``balanced_accuracy`` and ``ece``."""
        outputs = exact(outputs)
        targets = targets.to(outputs.device)
        predicted = outputs.argmax(-1)
        figures = {
            "loss": F.cross_entropy(outputs, targets),
            "accuracy": (predicted == targets).double().mean(),
        }
        if full:
            figures["balanced_accuracy"] = balanced_accuracy(predicted, targets, self.classes)
            figures["ece"] = calibration_error(outputs, targets)
        return figures


def balanced_accuracy(predicted: Tensor, targets: Tensor, classes: int) -> Tensor:
    """The mean recall over the classes that occur in `targets`, both (rows,) class numbers; float64.

    As scikit-learn's ``balanced_accuracy_score``. torchmetrics' macro accuracy counts a class that is predicted but
    absent from the targets as a recall of 0, which a small test part makes common.
    """
    counts = multiclass_stat_scores(predicted, targets, classes, average=None, validate_args=False).double()
    right, there = counts[:, 0], counts[:, -1]
    return (right[there > 0] / there[there > 0]).mean()


def calibration_error(outputs: Tensor, targets: Tensor, bins: int = 15) -> Tensor:
    """Expected calibration error in the L1 norm over equal bins of confidence, from 0 to 1, a scalar.

    A bin includes its lower edge, the last bin also 1. Guo et al. 2017, "On Calibration of Modern Neural Networks".
    torchmetrics' own, and its accuracies, are rounded to float32.

    Args:
        outputs: logits, float64 (rows, classes).
        targets: (rows,) class numbers.
        bins: of confidence, at least 1.
    """
    confidence, predicted = outputs.softmax(-1).max(-1)
    bin_of = (confidence.nan_to_num() * bins).long().clamp(max=bins - 1)
    excess = confidence - (predicted == targets).double()
    return torch.zeros(bins).to(excess).index_add_(0, bin_of, excess).abs().sum() / len(targets)
