"""Mean 0 and variance 1, as the training rows have it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from reglab.schema.errors import ConfigError, Setting

_LAST_BITS = 4 * np.finfo(np.float64).eps  # values that differ by less are one value, rounded in several ways
_COARSE = 0.1  # largest rounding error of a float32, in standard deviations of the values


def moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, float64 (columns,) each; exactly 0 where a column is constant.

    Also where squares of the values leave the range of float64.

    Args:
        rows: float64 (n, columns), at least one row; NaN is left out.
    """
    low, high = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
    largest = np.maximum(np.abs(low), np.abs(high))
    unit = np.where((largest > 1e-140) & (largest < 1e140) | (largest == 0), 1.0, largest)
    varies = high / unit - low / unit > _LAST_BITS * (largest / unit)
    shares = rows / unit
    return np.nanmean(shares, axis=0) * unit, np.where(varies, np.nanstd(shares, axis=0) * unit, 0.0)


def in_float32(values: np.ndarray, where: str) -> np.ndarray:
    """Return the values as float32.

    Args:
        values: float64 (n,); NaN is left out.
        where: begins a message, such as ``column 'age'``.

    Raises:
        ConfigError: values beyond the range of float32, or too close together for its precision.
    """
    with np.errstate(over="ignore", under="ignore"):
        rounded = values.astype(np.float32)
    known = ~np.isnan(values)
    if not np.isfinite(rounded[known]).all():
        problem = f"holds {np.nanmax(np.abs(values)):g}, beyond the range of float32"
    elif _too_coarse(values[known], rounded[known]):
        problem = f"holds values near {np.nanmax(np.abs(values)):g} that are too close together for float32"
    else:
        return rounded
    raise ConfigError(
        Setting("data.standardize", False), f"{where} {problem}", "set data.standardize=true, or rescale it"
    )


def _too_coarse(values: np.ndarray, rounded: np.ndarray) -> bool:
    if not len(values):
        return False
    spread = moments(values[:, None])[1][0]
    return bool(0 < _COARSE * spread < np.abs(rounded - values).max())


class Fitted(NamedTuple):
    """Statistics of each column over the training rows, (features,) each: an input is (value - mean) / scale.

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

    Raises:
        ConfigError: from a call, see `in_float32`.
    """

    def __init__(self, columns: np.ndarray, standardize: bool = True, names: Sequence[str] = ()) -> None:
        self.columns = np.asarray(columns, dtype=np.float64)
        self.standardize = standardize
        self.names = [str(name) for name in names] or [str(number) for number in range(self.columns.shape[1])]

    def __call__(self, train: np.ndarray) -> Tensor:
        """All rows, float32 (n, features), fitted on the row numbers ``train``."""
        fitted = self.fitted(train)
        filled = _filled(self.columns, fitted.fill)
        if self.standardize:
            return torch.from_numpy(((filled - fitted.mean) / fitted.scale).astype(np.float32))
        columns = zip(self.names, (filled / fitted.scale).T, strict=True)
        kept = [in_float32(column, f"column {name!r}") for name, column in columns]
        return torch.from_numpy(np.stack(kept, axis=1))

    def fitted(self, train: np.ndarray) -> Fitted:
        """Return the statistics of each column over the row numbers ``train``."""
        rows = self.columns[train]
        fill = np.full(rows.shape[1], np.nan)
        never = np.zeros(rows.shape[1], dtype=bool)
        for index in np.flatnonzero(np.isnan(self.columns).any(axis=0)):
            seen = rows[~np.isnan(rows[:, index]), index]
            never[index] = not len(seen)
            fill[index] = np.median(seen) if len(seen) else 0.0
        if not self.standardize:
            return Fitted(fill, np.zeros(rows.shape[1]), np.where(never, np.inf, 1.0))
        mean, scale = moments(_filled(rows, fill))
        return Fitted(fill, mean, np.where(scale > 0, scale, np.inf))

    def described(self, train: np.ndarray) -> list[dict[str, Any]]:
        """Describe each input: the column's ``name``, ``mean`` and ``scale``, ``missing`` values.

        ``scale`` is None where the input is 0 whatever the column holds.
        """
        return [
            {"name": name, "mean": float(mean), "scale": float(scale) if np.isfinite(scale) else None}
            | ({} if np.isnan(fill) else {"missing": float(fill)})
            for name, fill, mean, scale in zip(self.names, *self.fitted(train), strict=True)
        ]


def _filled(columns: np.ndarray, fill: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(columns), fill, columns)
