"""What the cells of one column hold: numbers, or text."""

from typing import TYPE_CHECKING

import numpy as np

from reglab.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

MOSTLY = 0.9  # a text column with this share of numbers was meant to be numeric


def numbers(column: "pd.Series", key: str, *, strict: bool = True) -> np.ndarray | None:
    """The column as float64 (n,), NaN where missing; None where it is text.

    Args:
        column: one column of the table.
        key: begins a message, such as ``data.path=FILE: column 'x'``.
        strict: whether a column of numbers with a few texts among them is refused (else it is text).

    Raises:
        ConfigError: dates, infinite numbers, or (strict) a few texts among numbers.
    """
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        raise ConfigError(
            f"{key} holds dates; turn them into numbers (such as days), or leave the column out (data.ignore)"
        )
    if pd.api.types.is_numeric_dtype(column):  # booleans too
        values = np.array(column.to_numpy(dtype=np.float64, na_value=np.nan))  # pandas lends it read-only
    else:
        written = text(column)
        parsed = pd.to_numeric(written, errors="coerce")
        wrong = written.notna() & parsed.isna()
        present = int(written.notna().sum())
        if wrong.any():
            if strict and present - wrong.sum() >= MOSTLY * present:
                row = int(np.flatnonzero(wrong)[0])
                raise ConfigError(
                    f"{key} is numeric but for {wrong.sum()} of {present} cells, the first {written.iloc[row]!r} in "
                    f"data row {row + 1}; correct it, or empty the cell where the value is missing"
                )
            return None
        values = parsed.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise ConfigError(
            f"{key} holds an infinite number in data row {row + 1}; correct it, or empty the cell where the value is "
            "missing"
        )
    return values


def text(column: "pd.Series") -> "pd.Series":
    """The column as strings without surrounding blanks; missing values stay missing."""
    import pandas as pd

    written = column.astype(object).map(lambda cell: str(cell).strip(), na_action="ignore")
    written = written.astype(pd.StringDtype("python"))
    return written.mask(written == "")
