"""Classification: cross entropy, and metrics of predicted classes and probabilities."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_stat_scores

from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import CLASSIFICATION, TaskKind
from reglab.tasks.base import Task, mean_over_columns


class Classification(Task):
    """Classes 0 … C-1 from logits (rows, C).

    Args:
        classes: C.
        class_weights: weight of the loss of each class, (C,), which average 1 over the training rows; None: all 1.
    """

    about: ClassVar[TaskKind] = CLASSIFICATION

    def __init__(self, classes: int, class_weights: Tensor | None = None) -> None:
        self.classes = classes
        self.class_weights = class_weights

    @classmethod
    def from_data(cls, data: Any, **options: Any) -> "Classification":
        """Return the task of a data set; `class_weights` is an option, see `class_weights_of`."""
        weights = options.pop("class_weights", None)
        return cls(data.outputs, None if weights is None else class_weights_of(data, weights), **options)

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross entropy over rows, each times the weight of its class.

        Args:
            outputs: logits (rows, C).
            targets: class numbers (rows,) or probabilities of classes (rows, C).
        """
        if self.class_weights is None:
            return F.cross_entropy(outputs, targets)
        weights = self.class_weights.to(outputs)
        if targets.is_floating_point():
            return -(outputs.log_softmax(-1) * targets * weights).sum(-1).mean()
        return (F.cross_entropy(outputs, targets, reduction="none") * weights[targets]).mean()

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of the classes, (rows, C)."""
        return outputs.softmax(-1)

    def accuracy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the accuracy: the share of rows whose most probable class is correct."""
        return (outputs.argmax(-1) == targets).double().mean()

    def balanced_accuracy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean recall over the classes that occur in the targets, as scikit-learn does.

        torchmetrics' macro accuracy counts a class that is predicted but absent from the targets as a recall of 0,
        which a small test part makes common.
        """
        true_positives, _, _, _, support = self._counts(outputs, targets)
        return (true_positives[support > 0] / support[support > 0]).mean()

    def f1_macro(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean F1 score over the classes that occur in targets or predictions, as scikit-learn does.

        From the counts, because torchmetrics rounds the score to float32.
        """
        true_positives, false_positives, _, false_negatives, _ = self._counts(outputs, targets)
        denominator = 2 * true_positives + false_positives + false_negatives
        return (2 * true_positives[denominator > 0] / denominator[denominator > 0]).mean()

    def auroc(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """Return the mean area under the ROC curve of each class against the others; None if no class has both."""
        return mean_over_columns("roc_auc_score", outputs.softmax(-1), F.one_hot(targets, self.classes))

    def average_precision(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """Return the mean average precision of each class against the others; None if no class has both."""
        return mean_over_columns("average_precision_score", outputs.softmax(-1), F.one_hot(targets, self.classes))

    def log_likelihood(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean log-probability of the correct class, in nats; at most 0."""
        return -F.cross_entropy(outputs, targets)

    def brier(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over rows of Σ (p - y)² over classes, from 0 to 2 (Brier 1950)."""
        return (outputs.softmax(-1) - F.one_hot(targets, self.classes)).square().sum(-1).mean()

    def ece(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the expected calibration error over 15 bins of confidence."""
        return calibration_error(outputs, targets)

    def _counts(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """Return true positives, false positives, true negatives, false negatives and support, each (C,)."""
        predicted = outputs.argmax(-1)
        counts = multiclass_stat_scores(predicted, targets, self.classes, average=None, validate_args=False)
        return counts.double().unbind(-1)


def calibration_error(outputs: Tensor, targets: Tensor, bins: int = 15) -> Tensor:
    """Return the expected calibration error in the L1 norm over equal bins of confidence, from 0 to 1, a scalar.

    A bin includes its lower edge, the last bin also 1. Guo et al. 2017, "On Calibration of Modern Neural Networks".
    torchmetrics rounds its own to float32.

    Args:
        outputs: logits, float64 (rows, classes).
        targets: (rows,) class numbers.
        bins: number of bins of confidence, at least 1.
    """
    confidence, predicted = outputs.softmax(-1).max(-1)
    bin_of = (confidence.nan_to_num() * bins).long().clamp(max=bins - 1)
    excess = confidence - (predicted == targets).double()
    return torch.zeros(bins).to(excess).index_add_(0, bin_of, excess).abs().sum() / len(targets)


def class_weights_of(data: Any, weights: str | Sequence[float]) -> Tensor:
    """Return the weight of the loss of each class, (C,), scaled so that they average 1 over the training rows.

    Args:
        data: data set with class indices as training targets.
        weights: ``balanced`` (the inverse frequency of each class), or a positive number for each class.

    Raises:
        ConfigError: another number of weights than of classes.
    """
    counts = torch.bincount(data.train.targets.long().cpu(), minlength=data.outputs).double()
    if weights == "balanced":
        unscaled = torch.where(counts > 0, 1 / counts.clamp_min(1), 0)
    elif len(weights) != data.outputs:
        raise ConfigError(
            Setting("task.class_weights", list(weights)),
            f"{len(weights)} weights, and {data.name} has {data.outputs} classes",
            "give one for each class, or balanced",
        )
    else:
        unscaled = torch.tensor([float(weight) for weight in weights], dtype=torch.float64)
    return (unscaled * counts.sum() / (unscaled * counts).sum()).float()
