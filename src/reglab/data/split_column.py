"""A column of a table that says how its rows are split."""

import difflib
from typing import TYPE_CHECKING

import numpy as np

from reglab.data.cells import check_spellings, numbers, text
from reglab.data.source import Splitter
from reglab.data.split_folds import folds
from reglab.data.split_groups import Groups
from reglab.data.split_parts import WORDS, Parts
from reglab.data.split_time import Time
from reglab.schema.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


def splitter(column: "pd.Series", way: str, test_fold: str | None = None, val_fold: str | None = None) -> Splitter:
    """Read from a column how the rows are split.

    Args:
        column: one cell a row, none missing.
        way: ``groups``, ``parts`` (train, val or test, or longer words for them), ``folds`` (numbers or words) or
            ``time`` (numbers, or dates as ISO 8601 has them: 2026-01-31, 2026-01-31 12:30).
        test_fold: of ``folds``, the one to test on, as `fold_name` has it.
        val_fold: that for validation.

    Raises:
        ConfigError: missing values, or what is neither of these.
    """
    import pandas as pd

    key = f"data.split_column={column.name}"
    written = text(column)
    if written.isna().any():
        missing = written.isna().to_numpy()
        raise ConfigError(
            key,
            f"{missing.sum()} of {len(column)} rows have no value, the first is data row "
            f"{np.flatnonzero(missing)[0] + 1}",
            "fill them in or remove the rows",
        )
    name = str(column.name)
    if way == "groups":
        numbered, names = pd.factorize(written, sort=True)
        check_spellings([str(group) for group in names], f"{key}: the groups")
        return Groups(name, numbered.astype(np.int64), [str(group) for group in names])
    if way == "folds":
        return folds(name, written.to_numpy(dtype=str), test_fold, val_fold)
    return Parts(name, _parts(written, key)) if way == "parts" else Time(name, _moments(column, key))


def _parts(written: "pd.Series", key: str) -> np.ndarray:
    said = written.str.lower()
    unknown = np.flatnonzero(~said.isin(list(WORDS)).to_numpy())
    if len(unknown):
        word = written.iloc[unknown[0]]
        near = difflib.get_close_matches(word.lower(), WORDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "write train, val or test, or use data.split_by=groups"
        raise ConfigError(key, f"{word!r} in data row {unknown[0] + 1} is no part", hint)
    return said.map(WORDS).to_numpy(dtype=str)


def _moments(column: "pd.Series", key: str) -> np.ndarray:
    import pandas as pd

    kind = pd.api.types
    if kind.is_timedelta64_dtype(column):
        return column.astype("int64").to_numpy()
    if column.dtype == object:
        column = text(column)  # objects of datetime, too
    if not kind.is_datetime64_any_dtype(column):
        if (read := numbers(column, f"{key}: the column", strict=False)) is not None:
            return read.settled(f"{key}: the column").values
        written = text(column)
        if written.str.fullmatch(r"[+-]?\d+").all():  # with leading zeros, which elsewhere are codes
            return written.astype(float).to_numpy()
        column = pd.to_datetime(written, format="ISO8601", errors="coerce", utc=True)
        if column.isna().any():
            row = int(np.flatnonzero(column.isna())[0])
            raise ConfigError(
                key,
                f"{written.iloc[row]!r} in data row {row + 1} is neither a number nor a date such as 2026-01-31",
                "correct it, or use data.split_by=groups",
            )
    return pd.to_datetime(column, utc=True).astype("int64").to_numpy()
