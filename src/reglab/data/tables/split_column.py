"""Read the column of a table that splits its rows (`data.split_column`)."""

import difflib
from typing import TYPE_CHECKING

import numpy as np

from reglab.data.settings import fold_name
from reglab.data.splitting.methods import GroupSplit, PartSplit, TimeSplit
from reglab.data.splitting.random import Splitter
from reglab.data.tables.cells import ColumnLabel, as_text
from reglab.data.tables.numbers import check_same_number, parse_numbers
from reglab.schema.errors import ConfigError, Setting
from reglab.wording import join_names, join_options

if TYPE_CHECKING:
    import pandas as pd

# The word of each part in lower case: the part.
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    "test": "test",
}


def read_splitter(
    column: "pd.Series", method: str, test_fold: str | None = None, val_fold: str | None = None
) -> Splitter:
    """Return the split that a column of a table describes.

    Args:
        column: one cell a row, none missing.
        method: ``groups``, ``parts`` (train, val or test, or longer words for them), ``folds`` (numbers or words) or
            ``time`` (numbers, or dates in ISO 8601: 2026-01-31, 2026-01-31 12:30).
        test_fold: name of the test fold, see `fold_name`.
        val_fold: name of the validation fold.

    Raises:
        ConfigError: missing values, or cells that the method cannot read.
    """
    import pandas as pd

    name = str(column.name)
    setting = Setting("data.split_column", name)
    written = as_text(column)
    if written.isna().any():
        missing = written.isna().to_numpy()
        raise ConfigError(
            setting,
            f"{missing.sum()} of {len(column)} rows have no value, the first is data row "
            f"{np.flatnonzero(missing)[0] + 1}",
            "fill them in or remove the rows",
        )
    if method == "groups":
        numbers, groups = pd.factorize(written, sort=True)
        names = [str(group) for group in groups]
        check_same_number(names, ColumnLabel(setting, "the groups"))
        return GroupSplit(name, numbers.astype(np.int64), names)
    if method == "folds":
        return fold_split(name, written.to_numpy(dtype=str), test_fold, val_fold)
    if method == "parts":
        return PartSplit(name, _read_parts(written, setting))
    return TimeSplit(name, _read_moments(column, setting))


def fold_split(column: str, written: np.ndarray, test_fold: str | None, val_fold: str | None) -> PartSplit:
    """Return one round of a cross-validation: one fold is the test, one may be validation, the others are training.

    Args:
        column: name of the column, for messages.
        written: fold of each row, str (n,).
        test_fold: name of the test fold; None: the test rows are drawn as in `PartSplit`.
        val_fold: name of the validation fold; None: the validation rows are drawn.

    Raises:
        ConfigError: no such fold, or none is left for training.
    """
    labels, place = np.unique(written, return_inverse=True)  # names are parsed once a fold, not once a row
    fold_of_label = np.array([fold_name(label) for label in labels.tolist()])
    folds = sorted(
        set(fold_of_label.tolist()), key=lambda name: (not name.isdecimal(), len(name) * name.isdecimal(), name)
    )
    for key, fold in (("test_fold", test_fold), ("val_fold", val_fold)):
        if fold is not None and fold not in folds:
            raise ConfigError(
                Setting(f"data.{key}", fold), f"no such fold in data.split_column={column}", _fold_hint(fold, folds)
            )
    if not set(folds) - {test_fold, val_fold}:
        raise ConfigError(
            Setting("data.split_column", column),
            f"has no fold besides {join_names(folds)}, so none is left for training",
            "give a column with more folds",
        )
    part = np.select([fold_of_label == test_fold, fold_of_label == val_fold], ["test", "val"], "train")
    return PartSplit(column, part[place])


def _fold_hint(fold: str, folds: list[str]) -> str:
    lowered = {name.lower(): name for name in reversed(folds)}
    near = difflib.get_close_matches(fold.lower(), lowered, n=1)
    return f"it has {join_options(folds)}" + (f"; did you mean {lowered[near[0]]}?" if near else "")


def _read_parts(written: "pd.Series", setting: Setting) -> np.ndarray:
    words = written.str.lower()
    unknown = np.flatnonzero(~words.isin(list(_PARTS)).to_numpy())
    if len(unknown):
        word = written.iloc[unknown[0]]
        near = difflib.get_close_matches(word.lower(), _PARTS, n=1)
        hint = f"did you mean {near[0]}?" if near else "write train, val or test, or use data.split_by=groups"
        raise ConfigError(setting, f"{word!r} in data row {unknown[0] + 1} is not the name of a part", hint)
    return words.map(_PARTS).to_numpy(dtype=str)


def _read_moments(column: "pd.Series", setting: Setting) -> np.ndarray:
    """Return dates, times or numbers as numbers (n,) in the same order."""
    import pandas as pd

    types = pd.api.types
    if types.is_timedelta64_dtype(column):
        return column.astype("int64").to_numpy()
    if column.dtype == object:
        column = as_text(column)  # objects of datetime, too
    if not types.is_datetime64_any_dtype(column):
        label = ColumnLabel(setting, "the column")
        if (parsed := parse_numbers(column, label, strict=False)) is not None:
            return parsed.resolve(label).values
        written = as_text(column)
        if written.str.fullmatch(r"[+-]?\d+").all():  # with leading zeros: text in a feature or target
            return written.astype(float).to_numpy()
        column = pd.to_datetime(written, format="ISO8601", errors="coerce", utc=True)
        if column.isna().any():
            row = int(np.flatnonzero(column.isna())[0])
            raise ConfigError(
                setting,
                f"{written.iloc[row]!r} in data row {row + 1} is neither a number nor a date such as 2026-01-31",
                "correct it, or use data.split_by=groups",
            )
    return pd.to_datetime(column, utc=True).astype("int64").to_numpy()
