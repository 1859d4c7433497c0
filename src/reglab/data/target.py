"""From the target column of a table to classes or numbers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reglab.data.cells import numbers, text
from reglab.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("auto", "classification", "regression")
FEW = 20  # different whole numbers that still count as classes


@dataclass(frozen=True)
class Target:
    """Values int64 (n,) with their class names in order, or float64 (n,) without names."""

    kind: str
    values: np.ndarray
    names: tuple[str, ...] = ()


def encode_target(column: "pd.Series", kind: str = "auto") -> Target:
    """The target, and what kind of task it is.

    ``auto``: text, booleans and what its file declares as categories are classes; so are whole numbers where at most 20
    different ones occur, each in two rows or more on average; all else is a regression. Classes are numbered in the
    order of their names (of their values, where they are numbers).

    Raises:
        ConfigError: missing values, one class or one value only, text for a regression, a few texts among numbers.
    """
    import pandas as pd

    key = f"data.target={column.name}"
    numeric = pd.api.types.is_numeric_dtype(column)
    declared = isinstance(column.dtype, pd.CategoricalDtype)
    kind = "classification" if declared and kind == "auto" else kind
    missing = (column if numeric else text(column)).isna().to_numpy()
    if missing.any():
        raise ConfigError(
            f"{key}: {missing.sum()} of {len(column)} rows have no value, the first is data row "
            f"{np.flatnonzero(missing)[0] + 1}; fill them in or remove the rows"
        )
    values = numbers(column, f"{key}: the column", strict=kind != "classification")
    if kind == "auto":
        classes = values is None or pd.api.types.is_bool_dtype(column) or _few_whole_numbers(values)
        kind = "classification" if classes else "regression"
    return _classes(column, values, key) if kind == "classification" else _amounts(column, values, key)


def _few_whole_numbers(values: np.ndarray) -> bool:
    distinct = np.unique(values)
    return bool((distinct == np.round(distinct)).all() and len(distinct) <= min(FEW, len(values) // 2))


def _classes(column: "pd.Series", values: np.ndarray | None, key: str) -> Target:
    written = text(column).to_numpy(dtype=str) if values is None or column.dtype == bool else values
    names, numbered = np.unique(written, return_inverse=True)
    if len(names) == 1:
        raise ConfigError(
            f"{key}: all {len(written)} rows are of one class ({_name(names[0])}); give a target that varies"
        )
    if values is not None and len(names) > max(FEW, len(values) / 2):
        raise ConfigError(
            f"{key}: holds {len(names)} different numbers in {len(values)} rows, too many for classes; "
            "use data.kind=regression"
        )
    return Target("classification", numbered.astype(np.int64), tuple(_name(name) for name in names))


def _amounts(column: "pd.Series", values: np.ndarray | None, key: str) -> Target:
    if values is None:
        raise ConfigError(
            f"data.kind=regression: the target {column.name} holds text (such as {str(column.iloc[0])!r}); "
            "use data.kind=classification, or another data.target"
        )
    if np.ptp(values) == 0:
        raise ConfigError(f"{key}: has the same value ({values[0]:g}) in all rows; give a target that varies")
    return Target("regression", values)


def _name(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
