"""Encode the feature columns of a table as one tensor."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from reglab.data.files import check_fits_in_memory
from reglab.data.preprocessing import OneHotCategories, StandardizedColumns
from reglab.data.source import FittedInputs
from reglab.data.splitting.random import Rows
from reglab.data.tables.cells import SPELLING, ColumnLabel, as_text, check_types, spelling_pairs
from reglab.data.tables.numbers import ParsedColumn, parse_numbers
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text import join_options, pluralize
from reglab.wording import format_override

if TYPE_CHECKING:
    import pandas as pd

_MANY_TEXTS = 50  # a column of more texts, most of them different, is an identifier
_MOST_VALUES = 1000  # largest number of categories of a column, each of which becomes an input
_MISSING = ""  # category of missing values: no other cell is empty
_UNSEEN_SHARE = 0.1  # share of held-out rows with unseen values above which a column is reported


class TableFeatures(FittedInputs):
    """Features of a table: numbers and booleans, then categories with one input for each value.

    `reglab.data.tables.numbers` parses numbers and missing values. Columns that the file declares as categories
    (in Parquet and ARFF), also of numbers, and numbers with leading zeros are categories. A missing number becomes the
    median; a missing text is a category. Mean, variance, median and categories are fitted on the training rows.

    Args:
        table: the features, without the target.
        setting: that gave the table, for messages, such as ``Setting("data.path", "wine.csv")``.
        standardize: False keeps the scale of numbers.

    Attributes:
        numbers: numbers of each column, float64 (n,), NaN where missing.
        codes: for each column of categories, the index of each row's category, int64 (n,).
        categories: for each column, the categories in the order of their indices, str (values,).
        notes: sentences on how columns were read.

    Raises:
        ConfigError: no column, a column without any value, what `parse_numbers` refuses, ambiguous numbers, a text
            column that looks like an identifier, more than 1000 values of a category, more inputs than half of the
            machine's memory.
    """

    def __init__(self, table: "pd.DataFrame", setting: Setting, standardize: bool = True) -> None:
        if table.shape[1] == 0:
            raise ConfigError(setting, "has no column besides the target", "add features")
        labels = {str(name): ColumnLabel(setting, f"column {str(name)!r}") for name in table.columns}
        parsed = {str(name): _parse(table[name], labels[str(name)]) for name in table.columns}
        decimals = frozenset(column.notation.decimal for column in parsed.values() if column and column.unambiguous)
        resolved = {
            name: column.resolve(labels[name], decimals) for name, column in parsed.items() if column is not None
        }
        self.numbers = {name: column.values for name, column in resolved.items()}
        self.notes = _merge_notes(resolved)
        self.codes: dict[str, np.ndarray] = {}
        self.categories: dict[str, np.ndarray] = {}
        for name in table.columns:
            if parsed[str(name)] is None:
                self.codes[str(name)], values = _encode_categories(table[name], labels[str(name)])
                self.categories[str(name)] = values
                self.notes += _leading_zero_notes(table[name])
                self.notes += spelling_notes(f"column {str(name)!r}", values, "categories")
        self._check_memory(len(table), setting)
        self._blocks: list[FittedInputs] = []
        if self.numbers:
            stacked = np.stack(list(self.numbers.values()), axis=1)
            self._blocks.append(StandardizedColumns(stacked, standardize, list(self.numbers)))
        if self.codes:
            self._blocks.append(OneHotCategories(self.codes, self.categories))

    def _check_memory(self, rows: int, setting: Setting) -> None:
        widths = {name: len(values) for name, values in self.categories.items()}
        widest = max(widths, key=lambda name: widths[name], default=None)
        remedy = "use fewer rows or columns"
        if widest is not None:
            remedy = f"column {widest!r} has {widths[widest]} values; {leave_out(widest)}"
        check_fits_in_memory(rows, len(self.numbers) + sum(widths.values()), setting, remedy)

    def tensor(self, train: np.ndarray) -> Tensor:
        """Return all rows, float32 (n, inputs), fitted on the row numbers `train`."""
        return torch.cat([block.tensor(train) for block in self._blocks], dim=1)

    def describe(self, train: np.ndarray) -> list[dict[str, Any]]:
        """Return the column of each input; see `StandardizedColumns` and `OneHotCategories`."""
        return [described for block in self._blocks for described in block.describe(train)]

    def caveats(self, rows: Rows) -> Iterator[str]:
        """Yield categories whose values in many held-out rows are in no training row."""
        held_out = np.concatenate([rows.val, rows.test])
        for name, codes in self.codes.items():
            unseen = ~np.isin(codes[held_out], codes[rows.train])
            if len(held_out) and unseen.mean() > _UNSEEN_SHARE:
                yield (
                    f"column {name!r}: over {_UNSEEN_SHARE:.0%} of the rows for validation and test have values that "
                    "no training row has, so that their inputs are zeros; group its rare values, or leave it out"
                )


def leave_out(*names: str) -> str:
    """Return the remedy for columns that are not features, as Hydra reads it back.

    >>> leave_out("id", "a,b")
    'leave it out, as in data.ignore=[id,"a,b"]'
    """
    return f"leave it out, as in {format_override('data.ignore', list(names))}"


def name_columns(names: Sequence[str]) -> str:
    """Return ``column a``, ``columns a, b``."""
    return f"column{'s' * (len(names) > 1)} {join_options(names)}"


def spelling_notes(subject: str, values: Iterable[str], kind: str) -> Iterator[str]:
    """Report, with one example, values of a column that differ only in spelling.

    Args:
        subject: begins the sentence.
        values: different texts.
        kind: kind of the values, in the plural, such as ``groups``.
    """
    if pairs := spelling_pairs([str(value) for value in values]):
        more = f" (and {pluralize(len(pairs) - 1, 'more pair')})" if len(pairs) > 1 else ""
        yield (
            f"{subject}: {pairs[0]}{more} differ only in {SPELLING}, and are different {kind}; "
            "use one spelling for each"
        )


def _parse(column: "pd.Series", label: ColumnLabel) -> ParsedColumn | None:
    """Return the column as numbers; None if it is a category."""
    import pandas as pd

    if column.isna().all():
        raise _no_value(label, str(column.name))
    check_types(column, label)
    parsed = None if isinstance(column.dtype, pd.CategoricalDtype) else parse_numbers(column, label)
    if parsed is not None and np.isnan(parsed.values).all():
        raise _no_value(label, str(column.name))
    return parsed


def _no_value(label: ColumnLabel, name: str) -> ConfigError:
    return label.error("has no value in any row", leave_out(name))


def _merge_notes(parsed: dict[str, ParsedColumn]) -> list[str]:
    """Return the notes on the columns, one for all columns with the same note."""
    columns: dict[str, list[str]] = {}
    for name, column in parsed.items():
        for note in column.notes:
            columns.setdefault(note, []).append(repr(name))
    return [f"{name_columns(names)}: {note}" for note, names in columns.items()]


def _encode_categories(column: "pd.Series", label: ColumnLabel) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each row's category, int64 (n,), and the categories by index, str (values,)."""
    remedy = leave_out(str(column.name))
    written = as_text(column)
    distinct = int(written.nunique())
    if distinct == 0:
        raise _no_value(label, str(column.name))
    if distinct > _MANY_TEXTS and distinct > len(written) / 2:
        raise label.error(
            f"contains {distinct} different texts in {len(written)} rows (such as {written.dropna().iloc[0]!r}), an "
            "identifier or numbers in an unknown notation",
            f"{remedy}, or write numbers as 1234.5",
        )
    if distinct > _MOST_VALUES:
        needed = 4 * distinct * len(written) / 2**30
        raise label.error(
            f"contains {distinct} different texts (such as {written.dropna().iloc[0]!r}), each of which would be an "
            f"input ({needed:.1f} GiB in {len(written)} rows); at most {_MOST_VALUES} are supported",
            f"group them (the rare ones as one), replace each by its frequency, or {remedy}",
        )
    values, codes = np.unique(written.fillna(_MISSING).to_numpy(dtype=str), return_inverse=True)
    return codes.astype(np.int64), values


def _leading_zero_notes(column: "pd.Series") -> Iterator[str]:
    """Report numbers with leading zeros, which are categories."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return
    cells = as_text(column).dropna()
    if cells.str.fullmatch(r"\d+").all() and cells.str.startswith("0").any():
        yield (
            f"column {str(column.name)!r}: has numbers with leading zeros, so each value is a category; write them "
            "without leading zeros to use them as numbers"
        )
