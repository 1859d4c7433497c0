"""Metrics of rankings, averaged over classes or labels, by scikit-learn: torchmetrics rounds its own to float32."""

import torch
from torch import Tensor


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
    found = [value for value in values if value is not None]
    return torch.stack(found).mean() if found else None


def by_column(metric: str, scores: Tensor, positives: Tensor) -> list[Tensor | None]:
    """Return the metric of each column; None for a column without positive or without negative rows."""
    from sklearn import metrics  # a second, and not needed in every run

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
