"""Inputs fitted on the training rows: standardized numbers and sequences, imputed values, one-hot categories."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from reglab.data.source import FittedInputs
from reglab.schema.errors import ConfigError, Setting

_LAST_BITS = 4 * np.finfo(np.float64).eps  # values that differ by less are one value, rounded in several ways
_COARSE = 0.1  # largest rounding error of a float32, in standard deviations of the values


def mean_and_scale(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column, float64 (columns,) each.

    The standard deviation of a constant column is exactly 0. Values whose squares leave the range of float64 are
    rescaled first; scikit-learn's ``StandardScaler`` gives NaN for them (tests/data/test_scikit_learn.py).

    Args:
        rows: float64 (n, columns), at least one row; NaN is left out.

    Example:
        >>> mean_and_scale(np.array([[1.0, 5.0], [3.0, 5.0]]))
        (array([2., 5.]), array([1., 0.]))
    """
    low, high = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
    largest = np.maximum(np.abs(low), np.abs(high))
    unit = np.where((largest > 1e-140) & (largest < 1e140) | (largest == 0), 1.0, largest)
    varies = high / unit - low / unit > _LAST_BITS * (largest / unit)
    shares = rows / unit
    return np.nanmean(shares, axis=0) * unit, np.where(varies, np.nanstd(shares, axis=0) * unit, 0.0)


def to_float32(values: np.ndarray, name: str) -> np.ndarray:
    """Return the values as float32.

    Args:
        values: float64 (n,); NaN is left out.
        name: name of the values in messages, such as ``column 'age'``.

    Raises:
        ConfigError: values beyond the range of float32, or too close together for its precision.
    """
    with np.errstate(over="ignore", under="ignore"):
        rounded = values.astype(np.float32)
    known = ~np.isnan(values)
    if not np.isfinite(rounded[known]).all():
        problem = f"contains {np.nanmax(np.abs(values)):g}, beyond the range of float32"
    elif _too_coarse(values[known], rounded[known]):
        problem = f"contains values near {np.nanmax(np.abs(values)):g} that are too close together for float32"
    else:
        return rounded
    raise ConfigError(
        Setting("data.standardize", False), f"{name} {problem}", "set data.standardize=true, or rescale it"
    )


def _too_coarse(values: np.ndarray, rounded: np.ndarray) -> bool:
    if not len(values):
        return False
    spread = mean_and_scale(values[:, None])[1][0]
    return bool(0 < _COARSE * spread < np.abs(rounded - values).max())


class ColumnStatistics(NamedTuple):
    """Statistics of each column over the training rows, float64 (features,): an input is (value - mean) / scale.

    Attributes:
        fill: the median, which replaces missing values; NaN if the column has none.
        mean: mean of the training rows.
        scale: their standard deviation; infinite if all are equal.
    """

    fill: np.ndarray
    mean: np.ndarray
    scale: np.ndarray


class StandardizedColumns(FittedInputs):
    """Numbers of a table with mean 0 and variance 1 over the training rows; missing values become the median.

    A column that is constant or missing in all training rows becomes 0 in every row, because other values in it could
    not be scaled.

    Args:
        columns: float64 (n, features); NaN where missing.
        standardize: False keeps the scale.
        names: names of the columns; empty: their numbers.

    Raises:
        ConfigError: in ``tensor``, see `to_float32`.
    """

    def __init__(self, columns: np.ndarray, standardize: bool = True, names: Sequence[str] = ()) -> None:
        self.columns = np.asarray(columns, dtype=np.float64)
        self.standardize = standardize
        self.names = [str(name) for name in names] or [str(number) for number in range(self.columns.shape[1])]

    def tensor(self, train: np.ndarray) -> Tensor:
        """Return all rows, float32 (n, features), fitted on the row numbers `train`."""
        fitted = self.fit(train)
        filled = np.where(np.isnan(self.columns), fitted.fill, self.columns)
        if self.standardize:
            return torch.from_numpy(((filled - fitted.mean) / fitted.scale).astype(np.float32))
        columns = zip(self.names, (filled / fitted.scale).T, strict=True)
        kept = [to_float32(column, f"column {name!r}") for name, column in columns]
        return torch.from_numpy(np.stack(kept, axis=1))

    def fit(self, train: np.ndarray) -> ColumnStatistics:
        """Return the statistics of each column over the row numbers `train`."""
        rows = self.columns[train]
        fill = np.full(rows.shape[1], np.nan)
        incomplete = np.isnan(self.columns).any(axis=0)
        if incomplete.any():
            from sklearn.impute import SimpleImputer  # here: it takes a second to import

            imputer = SimpleImputer(strategy="median", keep_empty_features=True)
            fill[incomplete] = imputer.fit(rows[:, incomplete]).statistics_
        if not self.standardize:
            empty = np.isnan(rows).all(axis=0)
            return ColumnStatistics(fill, np.zeros(rows.shape[1]), np.where(empty, np.inf, 1.0))
        mean, scale = mean_and_scale(np.where(np.isnan(rows), fill, rows))
        return ColumnStatistics(fill, mean, np.where(scale > 0, scale, np.inf))

    def describe(self, train: np.ndarray) -> list[dict[str, Any]]:
        """Return the ``name``, ``mean`` and ``scale`` of each column, and what is used for ``missing`` values.

        ``scale`` is None if the input is 0 in every row.
        """
        return [
            {"name": name, "mean": float(mean), "scale": float(scale) if np.isfinite(scale) else None}
            | ({} if np.isnan(fill) else {"missing": float(fill)})
            for name, fill, mean, scale in zip(self.names, *self.fit(train), strict=True)
        ]


class OneHotCategories(FittedInputs):
    """Categories as one input for each value that a training row has; other values are zeros.

    Args:
        codes: for each column, the index of each row's category, int64 (n,); at least one column.
        values: for each column, the categories in the order of their indices, str (values,).
    """

    def __init__(self, codes: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]) -> None:
        self.codes, self.values = codes, values

    def tensor(self, train: np.ndarray) -> Tensor:
        """Return all rows, float32 (n, inputs): an input for each value that occurs in the row numbers `train`."""
        from sklearn.preprocessing import OneHotEncoder  # here: it takes a second to import

        codes = np.stack(list(self.codes.values()), axis=1)
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
        return torch.from_numpy(encoder.fit(codes[train]).transform(codes))

    def describe(self, train: np.ndarray) -> list[dict[str, Any]]:
        """Return the ``name`` of the column and the ``value`` for which each input is 1; empty: missing."""
        return [
            {"name": name, "value": str(value)}
            for name, codes in self.codes.items()
            for value in self.values[name][np.unique(codes[train])]
        ]


class StandardizedFrames(FittedInputs):
    """Padded sequences whose features have mean 0 and variance 1 over all frames of the training rows.

    Args:
        sequences: (n, features, longest), NaN after the end of each; see `pad_frames`.
    """

    def __init__(self, sequences: np.ndarray) -> None:
        self.sequences = sequences

    def tensor(self, train: np.ndarray) -> Tensor:
        """Return all rows, float32 (n, features, longest), fitted on the row numbers `train`."""
        mean, scale = (values[:, None] for values in self._fit(train))
        return torch.from_numpy(((self.sequences - mean) / scale).astype(np.float32))

    def _fit(self, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        frames = self.sequences[train].astype(np.float64)
        mean, scale = mean_and_scale(frames.swapaxes(1, 2).reshape(-1, frames.shape[1]))
        return mean, np.where(scale > 0, scale, np.inf)  # a constant feature becomes 0

    def describe(self, train: np.ndarray) -> list[dict[str, Any]]:
        """Return the index of each feature as ``name``, its ``mean`` and ``scale`` (None if the input is 0)."""
        return [
            {"name": str(number), "mean": float(mean), "scale": float(scale) if np.isfinite(scale) else None}
            for number, (mean, scale) in enumerate(zip(*self._fit(train), strict=True))
        ]


def pad_frames(frames: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return sequences float32 (n, features, longest), with NaN after the end of each.

    NaN marks padding without a mask: noise or a factor leave it NaN. `reglab.models.layers` gives the mask.

    Args:
        frames: frames of all sequences, one after the other, (sum of lengths, features).
        lengths: (n,), at least 1 each.
    """
    padded = np.full((len(lengths), frames.shape[1], lengths.max()), np.nan, dtype=np.float32)
    for row, sequence in enumerate(np.split(frames, np.cumsum(lengths)[:-1])):
        padded[row, :, : len(sequence)] = sequence.T
    return padded
