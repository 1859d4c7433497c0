"""From the target column of a table to classes or numbers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from reglab.data.cells import EXACT, FEW, SPELLING, Read, check_spellings, is_missing_word, numbers, text, written_twice
from reglab.schema.errors import ConfigError, Setting

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("auto", "classification", "regression")
MANY, ROWS_EACH = 200, 10  # whole numbers up to so many, each in so many rows, may be classes: it is reported
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")  # what Decimal and float read alike


@dataclass(frozen=True)
class Target:
    """Values int64 (n,) with their class names in order, or float64 (n,) without names; and remarks on them."""

    kind: str
    values: np.ndarray
    names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def encode_target(column: "pd.Series", kind: str = "auto") -> Target:
    """Return the target, and what kind of task it is.

    ``auto``: text, booleans and what its file declares as categories are classes; so are whole numbers where at most 20
    different ones occur, each in two rows or more on average; all else is a regression. Numbers with leading zeros are
    text. Classes are numbered in the order of their names (of their values, where they are numbers); their names are
    exact, whatever the number of digits.

    Raises:
        ConfigError: missing values, one class or one value only, text for a regression, a few texts among numbers,
            classes that are one number written in several ways.
    """
    import pandas as pd

    key = f"data.target={column.name}"
    declared = isinstance(column.dtype, pd.CategoricalDtype)
    kind = "classification" if declared and kind == "auto" else kind
    plain = column.astype(object) if declared else column
    read = numbers(plain, f"{key}: the column", strict=kind != "classification", exact=False)
    read = read and read.settled(f"{key}: the column")
    missing = text(plain).isna().to_numpy() if read is None else np.isnan(read.values)
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        word = str(plain.iloc[row]).strip()
        called = f" ({word!r} counts as missing among numbers)" if word and isinstance(plain.iloc[row], str) else ""
        raise ConfigError(
            key,
            f"{missing.sum()} of {len(column)} rows have no value, the first is data row {row + 1}{called}",
            "fill them in or remove the rows",
        )
    by_itself = kind == "auto"
    if by_itself:
        classes = read is None or read.truth or _few_whole_numbers(read.values, plain)
        kind = "classification" if classes else "regression"
    if kind == "regression":
        numbers(plain, f"{key}: the column")  # which refuses different numbers that are equal as float64
        return _amounts(plain, read, key, by_itself=by_itself)
    return _classes(plain, read, key, declared=declared)


def _few_whole_numbers(values: np.ndarray, column: "pd.Series") -> bool:
    if not _are_whole(values):
        return False
    distinct = column.nunique() if np.abs(values).max(initial=0) >= EXACT else len(np.unique(values))
    return distinct <= min(FEW, len(values) // 2)


def _are_whole(values: np.ndarray) -> bool:
    return bool((values == np.round(values)).all())


def _classes(column: "pd.Series", read: Read | None, key: str, *, declared: bool) -> Target:
    import pandas as pd

    if read is not None and read.truth:
        there, numbered = np.unique(read.values, return_inverse=True)
        names = tuple("True" if value else "False" for value in there)
    else:
        place, cells = pd.factorize(text(column))
        names, of_cell = _named([str(cell) for cell in cells], read is not None, key)
        numbered = np.array(of_cell, dtype=np.int64)[place]
    if len(names) == 1:
        raise ConfigError(key, f"all {len(column)} rows are of one class ({names[0]})", "give a target that varies")
    if read is not None and not declared and len(names) > max(FEW, len(column) / 2):
        raise ConfigError(
            key,
            f"holds {len(names)} different numbers in {len(column)} rows, too many for classes",
            "use data.kind=regression",
        )
    remarks = tuple(_on_classes(names, np.bincount(numbered), f"data.target={column.name}"))
    return Target("classification", numbered.astype(np.int64), names, remarks)


def _named(cells: list[str], are_numbers: bool, key: str) -> tuple[tuple[str, ...], list[int]]:
    """The classes' names in order, and of each different cell the number of its class."""
    if not are_numbers or not all(map(_PLAIN.fullmatch, cells)):
        names = sorted(cells)
        if broken := next((name for name in names if len(name.splitlines()) > 1), None):
            raise ConfigError(key, f"the class {broken[:40]!r} has several lines", "write classes on one line")
        check_spellings(names, f"{key}: the classes")
        _check_truth(names, key)
        return tuple(names), [names.index(cell) for cell in cells]
    exact = [Decimal(cell) for cell in cells]
    values = sorted(set(exact))
    number = {value: place for place, value in enumerate(values)}
    return tuple(map(_name, values)), [number[value] for value in exact]


def _name(value: Decimal) -> str:
    return str(int(value)) if value == value.to_integral_value() else f"{value.normalize():f}"


def _check_truth(names: list[str], key: str) -> None:
    folded = {name.casefold() for name in names}
    if folded <= {"true", "false", "0", "1"} and len(folded & {"true", "false"}) and len(folded & {"0", "1"}):
        raise ConfigError(key, f"writes truth values in two ways ({', '.join(names)})", "write all alike")


def _on_classes(names: tuple[str, ...], counts: np.ndarray, key: str) -> Iterator[str]:
    for name, rows in zip(names, counts, strict=True):
        if is_missing_word(name):
            yield (
                f"{key}: {name!r} is a class ({rows} rows), though the word often stands for a missing value; remove "
                "these rows if it does"
            )
    for pair in written_twice(names):
        yield f"{key}: the classes {pair} differ only in {SPELLING}; write each class in one way"


def _amounts(column: "pd.Series", read: Read | None, key: str, *, by_itself: bool) -> Target:
    if read is None:
        raise ConfigError(
            Setting("data.kind", "regression"),
            f"the target {column.name} holds text (such as {str(column.iloc[0])!r})",
            "use data.kind=classification, or another data.target",
        )
    if np.ptp(read.values) == 0:
        raise ConfigError(key, f"has the same value ({read.values[0]:g}) in all rows", "give a target that varies")
    remarks = [f"{key}: {remark}" for remark in read.remarks]
    distinct = len(np.unique(read.values))
    if by_itself and distinct <= MANY and distinct * ROWS_EACH <= len(read.values) and _are_whole(read.values):
        remarks.append(
            f"{key}: {distinct} different whole numbers are read as a regression; where they are classes, "
            "data.kind=classification"
        )
    return Target("regression", read.values, remarks=tuple(remarks))
