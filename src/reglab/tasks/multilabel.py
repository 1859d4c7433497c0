"""Multi-label classification: binary cross entropy, and metrics averaged over the labels."""

from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from reglab.schema.metrics import metric_label
from reglab.schema.task_kinds import MULTILABEL, TaskKind
from reglab.tasks.base import Task, by_column, mean_over_columns, to_float64


class Multilabel(Task):
    """Any number of L labels for each row, from logits (rows, L).

    Args:
        labels: names of the labels, L; as metrics have them, see `metric_label`.
    """

    about: ClassVar[TaskKind] = MULTILABEL

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = tuple(map(metric_label, labels))

    @classmethod
    def from_data(cls, data: Any, **options: Any) -> "Multilabel":
        """Return the task of a data set; there are no options."""
        return cls(tuple(data.class_names), **options)

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean binary cross entropy over rows and labels.

        Args:
            outputs: logits (rows, L).
            targets: 0 to 1, (rows, L).
        """
        return F.binary_cross_entropy_with_logits(outputs, targets)

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the probability of each label, (rows, L)."""
        return outputs.sigmoid()

    def metrics(self, outputs: Tensor, targets: Tensor, *, full: bool, more: Any = ()) -> dict[str, Tensor]:
        """Return the metrics of a part; F1 and AUROC also of labels, as ``f1_macro/LABEL``: of all with `full`."""
        metrics = super().metrics(outputs, targets, full=full, more=more)
        if full or any("/" in name for name in more):
            outputs, targets = to_float64(outputs), to_float64(targets)
            by_label = {"f1_macro": list(_f1(outputs, targets)), "auroc": by_column("roc_auc_score", outputs, targets)}
            for metric, values in by_label.items():
                for label, value in zip(self.labels, values, strict=True):
                    name = f"{metric}/{label}"
                    if value is not None and (full or name in more):
                        metrics[name] = value
        return metrics

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the criterion of all rows."""
        return self.criterion(outputs, to_float64(targets))

    def accuracy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of labels that are predicted correctly, over all rows (1 - Hamming loss)."""
        return ((outputs > 0) == (targets > 0.5)).double().mean()

    def exact_match(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of rows whose labels are all predicted correctly."""
        return ((outputs > 0) == (targets > 0.5)).all(-1).double().mean()

    def f1_macro(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean F1 score over labels; that of a label that neither occurs nor is predicted is 0."""
        return _f1(outputs, targets).mean()

    def auroc(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """Return the mean area under the ROC curve over labels that some rows have and others do not."""
        return mean_over_columns("roc_auc_score", outputs, targets)

    def average_precision(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """Return the mean average precision over labels that some rows have and others do not."""
        return mean_over_columns("average_precision_score", outputs, targets)

    def log_likelihood(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over rows of the summed log-probability of all labels, in nats; at most 0."""
        return -F.binary_cross_entropy_with_logits(outputs, to_float64(targets), reduction="none").sum(-1).mean()

    def brier(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over rows of Σ (p - y)² over labels."""
        return (outputs.sigmoid() - targets).square().sum(-1).mean()


def _f1(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the F1 score of each label, float64 (L,), 0 where there is nothing to count; as scikit-learn does."""
    predicted, true = outputs > 0, targets > 0.5
    true_positives = (predicted & true).double().sum(0)
    return 2 * true_positives / (predicted.double().sum(0) + true.double().sum(0)).clamp_min(1)
