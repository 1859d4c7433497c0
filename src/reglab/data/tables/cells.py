"""Cells of one column as text: missing values, types that cannot be used, and texts that differ only in spelling."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reglab.schema.errors import ConfigError, Setting

if TYPE_CHECKING:
    import pandas as pd

# In upper and lower case. Missing values in a column whose other cells are numbers or booleans; in a column of texts
# only the empty cell is: a class called None, or the country code NA, is a value.
MISSING_WORDS = ("", "NA", "N/A", "#N/A", "<NA>", "NaN", "-NaN", "null", "None", "NaT", r"\N", "?", "-", "--", ".")
_MISSING = frozenset(word.casefold() for word in MISSING_WORDS)
SPELLING = "case, white space or Unicode form"


class ColumnLabel(NamedTuple):
    """A column as error messages refer to it.

    Args:
        where: the setting that gave the column or its table, such as ``Setting("data.path", "wine.csv")``.
        name: subject of the problem, such as ``column 'age'``.

    Example:
        >>> raise ColumnLabel(Setting("data.path", "wine.csv"), "column 'age'").error("contains dates", "leave it out")
        Traceback (most recent call last):
        reglab.schema.errors.ConfigError: data.path=wine.csv: column 'age' contains dates; leave it out
    """

    where: Setting
    name: str

    def error(self, problem: str, remedy: str = "") -> ConfigError:
        """Return an error about the column."""
        return ConfigError(self.where, f"{self.name} {problem}", remedy)


def as_text(column: "pd.Series") -> "pd.Series":
    """Return the column as strings without surrounding blanks; missing values and empty cells are missing."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(column.dtype) or column.dtype == object:
        column = column.astype(object).map(str, na_action="ignore").astype(pd.StringDtype())
    written = column.str.strip()
    return written.mask(written == "")


def is_missing_word(text: str) -> bool:
    """Return whether a text is one of `MISSING_WORDS`, in upper or lower case."""
    return text.strip().casefold() in _MISSING


def check_types(column: "pd.Series", label: ColumnLabel) -> None:
    """Raise if cells are neither numbers nor texts.

    Raises:
        ConfigError: dates, times or durations, bytes, lists or structs, complex numbers, intervals.
    """
    import datetime
    import decimal

    import pandas as pd

    types = pd.api.types
    cell_types: set[type] = set()
    if column.dtype == object or isinstance(column.dtype, pd.CategoricalDtype):
        cell_types = set(map(type, column.cat.categories if column.dtype != object else column.dropna()))
    dates = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
    has_times = types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column)
    if has_times or isinstance(column.dtype, pd.PeriodDtype) or _has_subclass(cell_types, dates):
        raise dates_error(label)
    if _has_subclass(cell_types, (bytes, bytearray, memoryview)):
        raise label.error("contains bytes", "decode them to texts, or leave the column out (data.ignore)")
    if types.is_complex_dtype(column) or _has_subclass(cell_types, (complex, np.complexfloating)):
        raise label.error(
            "contains complex numbers", "give real and imaginary parts as two columns, or leave it out (data.ignore)"
        )
    if isinstance(column.dtype, pd.IntervalDtype):
        raise label.error("contains intervals", "give their ends as two columns, or leave it out (data.ignore)")
    scalars = (str, int, float, decimal.Decimal, np.generic)
    if others := {cell_type for cell_type in cell_types if not issubclass(cell_type, scalars)}:
        raise label.error(
            f"contains lists or structs ({others.pop().__name__})",
            "give each element a column, or leave the column out (data.ignore)",
        )


def _has_subclass(cell_types: set[type], types: tuple[type, ...]) -> bool:
    return any(issubclass(cell_type, types) for cell_type in cell_types)


def dates_error(label: ColumnLabel) -> ConfigError:
    """Return the error for a column of dates."""
    return label.error("contains dates", "turn them into numbers (such as days), or leave the column out (data.ignore)")


def spelling_pairs(names: Sequence[str]) -> list[str]:
    """Return pairs of names that differ only in case, white space or Unicode form.

    >>> spelling_pairs(["yes", "no", "Yes"])
    ["'yes' and 'Yes'"]
    """
    first: dict[str, str] = {}
    pairs = [(first.setdefault(_folded(name), name), name) for name in names]
    return [_quoted_pair(one, other) for one, other in pairs if one != other]


def _folded(name: str) -> str:
    import unicodedata

    if not name.isascii():
        # Without characters such as a zero-width space.
        visible = "".join(character for character in name if unicodedata.category(character) != "Cf")
        name = unicodedata.normalize("NFKC", visible)
    return " ".join(name.casefold().split())


def _quoted_pair(one: str, other: str) -> str:
    """Return both names in quotes; with code points if they look alike, as a composed and a decomposed é do."""
    import unicodedata

    alike = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
    quoted = ascii if alike else repr
    return f"{quoted(one)} and {quoted(other)}"
