"""Mean and standard deviation of columns, and conversion to float32 without loss."""

import numpy as np

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
        name: of the values in messages, such as ``column 'age'``.

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
