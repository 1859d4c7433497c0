"""Mean 0 and variance 1, as the training rows have it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class Fitted(NamedTuple):
    """What the training rows say of each column, (features,) each: an input is (value - mean) / scale.

    Attributes:
        fill: stands for a missing value: the median; NaN where the column has none.
        mean: of the training rows.
        scale: their standard deviation; infinite where all are equal.
    """

    fill: np.ndarray
    mean: np.ndarray
    scale: np.ndarray


class Standardized:
    """Numbers of a table, standardized when the training rows are known.

    A column that is constant there (or missing throughout) becomes 0 in every row: nothing can be learnt from it, and
    its other values elsewhere would have no scale.

    Args:
        columns: (n, features), float64; NaN where missing: replaced by the median of the training rows.
        standardize: False leaves the scale as it is.
        names: of the columns; empty: their numbers.
    """

    def __init__(self, columns: np.ndarray, standardize: bool = True, names: Sequence[str] = ()) -> None:
        self.columns = np.asarray(columns, dtype=np.float64)
        self.standardize = standardize
        self.names = [str(name) for name in names] or [str(number) for number in range(self.columns.shape[1])]

    def __call__(self, train: np.ndarray) -> Tensor:
        """All rows, float32 (n, features), fitted on the row numbers ``train``."""
        fitted = self.fitted(train)
        filled = _filled(self.columns, fitted.fill)
        return torch.from_numpy(((filled - fitted.mean) / fitted.scale).astype(np.float32))

    def fitted(self, train: np.ndarray) -> Fitted:
        """What the row numbers ``train`` say of each column."""
        rows = self.columns[train]
        fill = np.full(rows.shape[1], np.nan)
        never = np.zeros(rows.shape[1], dtype=bool)
        for index in np.flatnonzero(np.isnan(self.columns).any(axis=0)):
            seen = rows[~np.isnan(rows[:, index]), index]
            never[index] = not len(seen)
            fill[index] = np.median(seen) if len(seen) else 0.0
        if not self.standardize:
            return Fitted(fill, np.zeros(rows.shape[1]), np.where(never, np.inf, 1.0))
        filled = _filled(rows, fill)
        varies = np.ptp(filled, axis=0) > 0  # a std of rounding errors would blow them up
        return Fitted(fill, filled.mean(axis=0), np.where(varies, filled.std(axis=0), np.inf))

    def described(self, train: np.ndarray) -> list[dict[str, Any]]:
        """Of each input what it is made from: the column's ``name``, ``mean`` and ``scale``, ``missing`` values.

        ``scale`` is None where the input is 0 whatever the column holds.
        """
        return [
            {"name": name, "mean": float(mean), "scale": float(scale) if np.isfinite(scale) else None}
            | ({} if np.isnan(fill) else {"missing": float(fill)})
            for name, fill, mean, scale in zip(self.names, *self.fitted(train), strict=True)
        ]


def _filled(columns: np.ndarray, fill: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(columns), fill, columns)
