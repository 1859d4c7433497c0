"""From the feature columns of a table to one tensor, fitted on the training rows."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from reglab.data.cells import SPELLING, Read, check_types, numbers, text, written_twice
from reglab.data.files import check_fits
from reglab.data.splits import Rows
from reglab.data.standardize import Standardized
from reglab.schema.errors import ConfigError
from reglab.wording import format_override, join_options, pluralize

if TYPE_CHECKING:
    import pandas as pd

MANY = 50  # distinct texts, from which on a column where most are distinct is taken for an identifier
MOST = 1000  # distinct texts of a category, each of which becomes an input
MISSING = ""  # no other cell is empty


def leave_out(*names: str) -> str:
    """Return the remedy for columns that are no features, as Hydra reads it back."""
    return f"leave it out, as in {format_override('data.ignore', list(names))}"


class Columns:
    """Numbers and booleans (standardized, missing ones by the median), then categories (one column for each value).

    How numbers are read, and what counts as missing, is in `reglab.data.cells`. A column that its file declares as
    categories (Parquet and ARFF can) is one, even of numbers, and so are numbers with leading zeros. Values of a
    category that no training row has give zeros; a missing value is a separate category. Everything that is fitted
    (mean, variance, median, values) comes from the training rows.

    Args:
        table: the features, without the target.
        where: the setting for error messages, such as ``data.path=FILE``.
        standardize: False leaves numbers as they are.

    After construction: ``remarks``, sentences on how columns were read.

    Raises:
        ConfigError: no column at all, a column without any value, what `numbers` refuses, numbers that can be read in
            two ways, a text column that looks like an identifier, more than 1000 values of a category, more inputs than
            half of the machine's memory.
    """

    def __init__(self, table: "pd.DataFrame", where: str, standardize: bool = True) -> None:
        if table.shape[1] == 0:
            raise ConfigError(where, "has no column besides the target", "add features")
        read = {str(name): _read(table[name], where) for name in table.columns}
        marks = frozenset(one.notation.decimal for one in read.values() if one and one.decided)
        settled = {
            name: one.settled(f"{where}: column {name!r}", marks) for name, one in read.items() if isinstance(one, Read)
        }
        self.values = {name: one.values for name, one in settled.items()}
        remarks: dict[str, list[str]] = {}
        for name, one in settled.items():
            for remark in one.remarks:
                remarks.setdefault(remark, []).append(repr(name))
        self.remarks = [f"{columns_named(names)}: {remark}" for remark, names in remarks.items()]
        self.categories: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # codes (n,), and the value of each code
        for name in table.columns:
            if read[str(name)] is None:
                self.categories[str(name)] = _coded(table[name], where)
                self.remarks += _on_codes(table[name])
                self.remarks += on_spellings(f"column {str(name)!r}", self.categories[str(name)][1], "categories")
        self._check_fits(len(table), where)
        self.numbers = None
        if self.values:
            self.numbers = Standardized(np.stack(list(self.values.values()), axis=1), standardize, list(self.values))

    def _check_fits(self, rows: int, where: str) -> None:
        widths = {name: len(values) for name, (_, values) in self.categories.items()}
        widest = max(widths, key=lambda name: widths[name], default=None)
        remedy = "use fewer rows or columns"
        if widest is not None:
            remedy = f"column {widest!r} has {widths[widest]} values; {leave_out(widest)}"
        check_fits(rows, len(self.values) + sum(widths.values()), where, remedy)

    def __call__(self, train: np.ndarray) -> Tensor:
        """All rows, float32 (n, features), fitted on the row numbers ``train``."""
        blocks = [self.numbers(train)] if self.numbers else []
        for codes, _ in self.categories.values():
            seen = np.unique(codes[train])
            blocks.append(torch.from_numpy((codes[:, None] == seen).astype(np.float32)))
        return torch.cat(blocks, dim=1)

    def described(self, train: np.ndarray) -> list[dict[str, Any]]:
        """Of each input what it is made from: see `Standardized`; or 1 where the column ``name`` has the ``value``.

        Of a category the empty text is a missing value.
        """
        described = self.numbers.described(train) if self.numbers else []
        for name, (codes, values) in self.categories.items():
            described += [{"name": name, "value": str(value)} for value in values[np.unique(codes[train])]]
        return described

    def remarks_on(self, rows: Rows) -> Iterator[str]:
        """Report categories whose values in many of the rows for validation or test are in no training row."""
        others = np.concatenate([rows.val, rows.test])
        for name, (codes, _) in self.categories.items():
            unknown = ~np.isin(codes[others], codes[rows.train])
            if len(others) and unknown.mean() > UNSEEN:
                yield (
                    f"column {name!r}: over {UNSEEN:.0%} of the rows for validation and test have values that no "
                    "training row has, so that their inputs are zeros; group its rare values, or leave it out"
                )


def columns_named(names: Sequence[str]) -> str:
    """``column a``, ``columns a, b``."""
    return f"column{'s' * (len(names) > 1)} {join_options(names)}"


UNSEEN = 0.1  # share of rows above which it is reported


def _read(column: "pd.Series", where: str) -> Read | None:
    import pandas as pd

    name = str(column.name)
    key = f"{where}: column {name!r}"
    if column.isna().all():
        raise ConfigError(f"{key} has no value in any row; {leave_out(name)}")
    check_types(column, key)
    read = None if isinstance(column.dtype, pd.CategoricalDtype) else numbers(column, key)
    if read is not None and np.isnan(read.values).all():
        raise ConfigError(f"{key} has no value in any row; {leave_out(name)}")
    return read


def _coded(column: "pd.Series", where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return codes int64 (n,), and the value of each code."""
    name = str(column.name)
    key, remedy = f"{where}: column {name!r}", leave_out(name)
    written = text(column)
    distinct = int(written.nunique())
    if distinct == 0:
        raise ConfigError(f"{key} has no value in any row; {remedy}")
    if distinct > MANY and distinct > len(written) / 2:
        raise ConfigError(
            f"{key} holds {distinct} different texts in {len(written)} rows (such as {written.dropna().iloc[0]!r}), an "
            f"identifier or numbers in a notation that is not known; {remedy}, or write numbers as 1234.5"
        )
    if distinct > MOST:
        needed = 4 * distinct * len(written) / 2**30
        raise ConfigError(
            f"{key} holds {distinct} different texts (such as {written.dropna().iloc[0]!r}), each of which would be an "
            f"input ({needed:.1f} GiB in {len(written)} rows), and at most {MOST} may be; group them (the rare ones as "
            f"one), replace each by its frequency, or {remedy}"
        )
    values, codes = np.unique(written.fillna(MISSING).to_numpy(dtype=str), return_inverse=True)
    return codes.astype(np.int64), values


def on_spellings(column: str, values: Iterable[str], kind: str) -> Iterator[str]:
    """Report, with one example, values of a column that differ only in how they are written.

    Args:
        column: begins the sentence.
        values: different texts.
        kind: of what they are, in the plural.
    """
    if pairs := written_twice([str(value) for value in values]):
        more = f" (and {pluralize(len(pairs) - 1, 'more pair')})" if len(pairs) > 1 else ""
        yield f"{column}: {pairs[0]}{more} differ only in {SPELLING}, and are different {kind}; write each in one way"


def _on_codes(column: "pd.Series") -> Iterator[str]:
    """Report numbers with leading zeros, which are read as text."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return
    cells = text(column).dropna()
    if cells.str.fullmatch(r"\d+").all() and cells.str.startswith("0").any():
        yield (
            f"column {str(column.name)!r}: has numbers with leading zeros, so each value is a category; write them "
            "without to have numbers"
        )
