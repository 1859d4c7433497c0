"""Mean 0 and variance 1, as the training rows have it."""

import numpy as np
import torch
from torch import Tensor


class Standardized:
    """Numbers of a table, standardized when the training rows are known.

    A column that is constant there (or missing throughout) becomes 0 in every row: nothing can be learnt from it, and
    its other values elsewhere would have no scale.

    Args:
        columns: (n, features), float64; NaN where missing: replaced by the median of the training rows.
        standardize: False leaves the scale as it is.
    """

    def __init__(self, columns: np.ndarray, standardize: bool = True) -> None:
        self.columns = np.asarray(columns, dtype=np.float64)
        self.standardize = standardize

    def __call__(self, train: np.ndarray) -> Tensor:
        """All rows, float32 (n, features), fitted on the row numbers ``train``."""
        filled = _fill(self.columns, train)
        if self.standardize:
            fitted = filled[train]
            varies = np.ptp(fitted, axis=0) > 0  # a std of rounding errors would blow them up
            scale = np.where(varies, fitted.std(axis=0), np.inf)
            filled = (filled - fitted.mean(axis=0)) / scale
        return torch.from_numpy(filled.astype(np.float32))


def _fill(columns: np.ndarray, train: np.ndarray) -> np.ndarray:
    missing = np.isnan(columns)
    if not missing.any():
        return columns
    filled = columns.copy()
    for index in np.flatnonzero(missing.any(axis=0)):
        seen = columns[train, index]
        seen = seen[~np.isnan(seen)]
        filled[missing[:, index], index] = np.median(seen) if len(seen) else 0.0
        if not len(seen):
            filled[:, index] = 0.0
    return filled
