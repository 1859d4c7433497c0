"""Columns of a table with a role: the target and its classes, and the column that names the parts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from reglab.data.settings import fold_name
from reglab.data.splitting.methods import GroupSplit, PartSplit, TimeSplit
from reglab.data.splitting.random import Splitter
from reglab.data.tables.cells import SPELLING, ColumnLabel, as_text, is_missing_word, spelling_pairs
from reglab.data.tables.numbers import EXACT, FEW, ParsedColumn, check_same_number, parse_numbers
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean, nearest
from reglab.schema.task_kinds import CLASS_LABELS, CLASSIFICATION, MULTILABEL, NUMBER_TARGETS, REGRESSION, features_of
from reglab.schema.text import join_names, join_options

if TYPE_CHECKING:
    import pandas as pd

_MANY, _ROWS_EACH = 200, 10  # at most `_MANY` whole numbers, each in `_ROWS_EACH` rows, may be classes: a note
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")  # read alike by Decimal and float
# Part by its name in a split column, in lower case.
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    "test": "test",
}


@dataclass(frozen=True)
class Target:
    """An encoded target.

    Attributes:
        kind: kind of the task.
        values: classes int64 (n,) from 0, numbers float64 (n,), or labels float32 (n, labels).
        names: names of the classes or labels, in order; empty for a regression.
        notes: sentences on how the target was read.
    """

    kind: str
    values: np.ndarray
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def encode_target(column: "pd.Series", kind: str = "auto") -> Target:
    """Return a table's target as classes or numbers.

    ``auto`` reads as classes: text, booleans, what the file declares as categories, and whole numbers of which at most
    20 different ones occur, each in two rows or more on average. Numbers with leading zeros are text. Classes are
    numbered in the order of their names (of their values, if they are numbers); their names are exact, whatever the
    number of digits.

    Args:
        column: one cell a row, none missing.
        kind: ``auto``, or a kind of task whose targets are class labels or numbers.

    Raises:
        ConfigError: missing values, one class or one value only, text for a regression, a few texts among numbers,
            classes that are one number written in several ways.
    """
    import pandas as pd

    setting = Setting("data.target", str(column.name))
    label = ColumnLabel(setting, "the column")
    declared = isinstance(column.dtype, pd.CategoricalDtype)
    kind = CLASSIFICATION.name if declared and kind == "auto" else kind
    plain = column.astype(object) if declared else column
    as_classes = kind != "auto" and CLASS_LABELS in features_of(kind)
    parsed = parse_numbers(plain, label, strict=not as_classes, exact=False)
    parsed = parsed and parsed.resolve(label)
    missing = as_text(plain).isna().to_numpy() if parsed is None else np.isnan(parsed.values)
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        word = str(plain.iloc[row]).strip()
        reading = f" ({word!r} counts as missing among numbers)" if word and isinstance(plain.iloc[row], str) else ""
        raise ConfigError(
            setting,
            f"{missing.sum()} of {len(column)} rows have no value, the first is data row {row + 1}{reading}",
            "fill them in or remove the rows",
        )
    automatic = kind == "auto"
    if automatic:
        classes = parsed is None or parsed.boolean or _few_whole_numbers(parsed.values, plain)
        kind = CLASSIFICATION.name if classes else REGRESSION.name
    if NUMBER_TARGETS in features_of(kind):
        parse_numbers(plain, label)  # raises for different numbers that are equal as float64
        return _encode_numbers(plain, parsed, setting, kind, automatic=automatic)
    return _encode_classes(plain, parsed, setting, kind, declared=declared)


def encode_labels(columns: "pd.DataFrame", kind: str = MULTILABEL.name) -> Target:
    """Return several columns as the labels of a multi-label classification.

    Args:
        columns: one per label, each with 0 and 1, or with false and true, in every row.
        kind: a kind of task with sets of labels.

    Raises:
        ConfigError: missing values, other values, or a label that all rows have or none has.
    """
    values: list[np.ndarray] = []
    notes: list[str] = []
    for name in columns.columns:
        encoded = encode_target(columns[name])
        if [name_of_value.lower() for name_of_value in encoded.names] not in (["0", "1"], ["false", "true"]):
            values_of = f"the values {join_options(encoded.names)}" if encoded.names else "numbers other than 0 and 1"
            raise ConfigError(
                Setting("data.target", str(name)),
                f"is one of several labels, which need 0 and 1, and has {values_of}",
                "write 0 and 1, or name one target",
            )
        values.append(encoded.values)
        notes += encoded.notes
    names = tuple(str(name) for name in columns.columns)
    return Target(kind, np.stack(values, 1).astype(np.float32), names, tuple(notes))


def _few_whole_numbers(values: np.ndarray, column: "pd.Series") -> bool:
    if not _are_whole(values):
        return False
    distinct = column.nunique() if np.abs(values).max(initial=0) >= EXACT else len(np.unique(values))
    return distinct <= min(FEW, len(values) // 2)


def _are_whole(values: np.ndarray) -> bool:
    return bool((values == np.round(values)).all())


def _encode_classes(
    column: "pd.Series", parsed: ParsedColumn | None, setting: Setting, kind: str, *, declared: bool
) -> Target:
    import pandas as pd

    if parsed is not None and parsed.boolean:
        present, numbers = np.unique(parsed.values, return_inverse=True)
        names = tuple("True" if value else "False" for value in present)
    else:
        codes, cells = pd.factorize(as_text(column))
        names, class_of_cell = _class_names([str(cell) for cell in cells], parsed is not None, setting)
        numbers = np.array(class_of_cell, dtype=np.int64)[codes]
    if len(names) == 1:
        raise ConfigError(setting, f"all {len(column)} rows are of one class ({names[0]})", "give a target that varies")
    if parsed is not None and not declared and len(names) > max(FEW, len(column) / 2):
        raise ConfigError(
            setting,
            f"contains {len(names)} different numbers in {len(column)} rows, too many for classes",
            "use data.kind=regression",
        )
    notes = tuple(_class_notes(names, np.bincount(numbers), setting))
    return Target(kind, numbers.astype(np.int64), names, notes)


def _class_names(cells: list[str], are_numbers: bool, setting: Setting) -> tuple[tuple[str, ...], list[int]]:
    """Return the names of the classes in order, and the number of each different cell's class."""
    if not are_numbers or not all(map(_PLAIN.fullmatch, cells)):
        names = sorted(cells)
        if broken := next((name for name in names if len(name.splitlines()) > 1), None):
            raise ConfigError(setting, f"the class {broken[:40]!r} has several lines", "write classes on one line")
        check_same_number(names, ColumnLabel(setting, "the classes"))
        _check_booleans(names, setting)
        return tuple(names), [names.index(cell) for cell in cells]
    exact = [Decimal(cell) for cell in cells]
    values = sorted(set(exact))
    number = {value: i for i, value in enumerate(values)}
    return tuple(map(_format_exactly, values)), [number[value] for value in exact]


def _format_exactly(value: Decimal) -> str:
    return str(int(value)) if value == value.to_integral_value() else f"{value.normalize():f}"


def _check_booleans(names: list[str], setting: Setting) -> None:
    folded = {name.casefold() for name in names}
    if folded <= {"true", "false", "0", "1"} and len(folded & {"true", "false"}) and len(folded & {"0", "1"}):
        raise ConfigError(setting, f"has booleans in two notations ({', '.join(names)})", "use one notation")


def _class_notes(names: tuple[str, ...], counts: np.ndarray, setting: Setting) -> Iterator[str]:
    for name, rows in zip(names, counts, strict=True):
        if is_missing_word(name):
            yield (
                f"{setting}: {name!r} is a class ({rows} rows), though the word often stands for a missing value; "
                "remove these rows if it does"
            )
    for pair in spelling_pairs(names):
        yield f"{setting}: the classes {pair} differ only in {SPELLING}; use one spelling for each class"


def _encode_numbers(
    column: "pd.Series", parsed: ParsedColumn | None, setting: Setting, kind: str, *, automatic: bool
) -> Target:
    if parsed is None:
        raise ConfigError(
            Setting("data.kind", kind),
            f"the target {column.name} contains text (such as {str(column.iloc[0])!r})",
            "use data.kind=classification, or another data.target",
        )
    if np.ptp(parsed.values) == 0:
        raise ConfigError(
            setting, f"has the same value ({parsed.values[0]:g}) in all rows", "give a target that varies"
        )
    notes = [f"{setting}: {note}" for note in parsed.notes]
    distinct = len(np.unique(parsed.values))
    if automatic and distinct <= _MANY and distinct * _ROWS_EACH <= len(parsed.values) and _are_whole(parsed.values):
        notes.append(
            f"{setting}: {distinct} different whole numbers are read as a regression target; if they are classes, set "
            "data.kind=classification"
        )
    return Target(kind, parsed.values, notes=tuple(notes))


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
    return TimeSplit(name, _read_times(column, setting))


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
    labels, codes = np.unique(written, return_inverse=True)  # names are parsed once per fold, not per row
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
    return PartSplit(column, part[codes])


def _fold_hint(fold: str, folds: list[str]) -> str:
    return f"it has {join_options(folds)}{did_you_mean(fold, folds)}"


def _read_parts(written: "pd.Series", setting: Setting) -> np.ndarray:
    """Return ``train``, ``val`` or ``test`` for each row."""
    words = written.str.lower()
    unknown = np.flatnonzero(~words.isin(list(_PARTS)).to_numpy())
    if len(unknown):
        word = written.iloc[unknown[0]]
        near = nearest(word, _PARTS)
        hint = f"did you mean {near}?" if near else "write train, val or test, or use data.split_by=groups"
        raise ConfigError(setting, f"{word!r} in data row {unknown[0] + 1} is not the name of a part", hint)
    return words.map(_PARTS).to_numpy(dtype=str)


def _read_times(column: "pd.Series", setting: Setting) -> np.ndarray:
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
