"""The protocol of tasks: the loss of a kind of task, and its metrics."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar

import torch
from torch import Tensor

from reglab.schema.metrics import metrics_of
from reglab.schema.task_kinds import TaskKind


class Task(ABC):
    """The mean loss of a batch, and the metrics of a whole part of the data.

    To add a kind of task, declare it in `reglab.schema.task_kinds` and implement this class in a module of its own. A
    metric that `reglab.schema.metrics` declares for the kind is computed by the method of its name, which is called
    with the float64 outputs and the targets of a part, and returns a float64 scalar, or None if the part has none.
    """

    about: ClassVar[TaskKind]
    kind: ClassVar[str]
    """Name of the kind of task, of `about`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = cls.about.name
        for metric in metrics_of(cls.kind):
            if not hasattr(cls, metric.name):
                raise TypeError(
                    f"{cls.__name__} has no method {metric.name}, a metric that reglab.schema.metrics declares for "
                    f"{cls.kind}; add it"
                )

    @classmethod
    @abstractmethod
    def from_data(cls, data: Any, **options: Any) -> "Task":
        """Return the task of a data set that is set up.

        Args:
            data: a `reglab.data.TensorData`.
            options: those that `TaskKind.options` declares, of the config's section `task`; None: the default.
        """

    @abstractmethod
    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of a batch, a scalar; runs under ``torch.func.vmap``."""

    def collected(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return tensors of a batch, rows first, that evaluation collects over the part for `metrics`.

        A copy in float64, so that a network may overwrite its outputs.
        """
        return to_float64(outputs.detach(), copy=True), targets

    def metrics(self, outputs: Tensor, targets: Tensor, *, full: bool, more: Collection[str] = ()) -> dict[str, Tensor]:
        """Return the metrics of a whole part of the data by name, float64 scalars for any precision of the model.

        Args:
            outputs: outputs that `collected` returned, (rows, ...).
            targets: targets that `collected` returned, (rows, ...).
            full: all metrics; otherwise those that are measured in every epoch.
            more: names of further metrics that are wanted.
        """
        outputs = to_float64(outputs)
        targets = targets.to(outputs.device)
        names = [metric.name for metric in metrics_of(self.kind) if full or metric.every_epoch or metric.name in more]
        values = {name: getattr(self, name)(outputs, targets) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the criterion of all rows."""
        return self.criterion(outputs, targets)

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return outputs as an exported model returns them (see `TaskKind.outputs`); by default unchanged.

        Runs under ``torch.export``, with outputs in the model's own precision.
        """
        return outputs


def to_float64(values: Tensor, *, copy: bool = False) -> Tensor:
    """Return the values in float64, on the CPU if their device has no such numbers.

    Sums and differences of squares in float32 lose all digits if values are far from 0.
    """
    return values.to("cpu" if values.device.type == "mps" else values.device, torch.float64, copy=copy)


def mean_over_columns(metric: str, scores: Tensor, positives: Tensor) -> Tensor | None:
    """Return the mean of a metric over the columns that have both positive and negative rows.

    Args:
        metric: name of a function of `sklearn.metrics` of (positives, scores).
        scores: float64 (rows, columns); a row whose score is not a number makes the mean NaN.
        positives: 0 or 1, (rows, columns).

    Returns:
        A float64 scalar; None if no column has both.
    """
    values = by_column(metric, scores, positives)
    defined = [value for value in values if value is not None]
    return torch.stack(defined).mean() if defined else None


def by_column(metric: str, scores: Tensor, positives: Tensor) -> list[Tensor | None]:
    """Return the metric of each column; None for a column without positive or without negative rows."""
    from sklearn import metrics  # takes a second to import, and is not needed in every run

    function = getattr(metrics, metric)
    values: list[Tensor | None] = []
    for score, positive in zip(scores.cpu().T, positives.cpu().T, strict=True):
        if not 0 < int(positive.sum()) < len(positive):
            values.append(None)
        elif not score.isfinite().all():
            values.append(torch.tensor(float("nan"), dtype=torch.float64, device=scores.device))
        else:
            value = float(function(positive.numpy(), score.numpy()))
            values.append(torch.tensor(value, dtype=torch.float64, device=scores.device))
    return values
