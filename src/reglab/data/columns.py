"""From the feature columns of a table to one tensor, fitted on the training rows."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from reglab.data.cells import numbers, text
from reglab.data.standardize import Standardized
from reglab.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

MANY = 50  # distinct texts, from which on a column where most are distinct is taken for an identifier
LEAVE_OUT = "leave it out, as in data.ignore=[{name}]"
MISSING = ""  # no other cell is empty


class Columns:
    """Numbers and booleans (standardized, missing ones by the median), then categories (one column for each value).

    A column that its file declares as categories (Parquet and ARFF can) is one, even of numbers. Values of a category
    that no training row has give zeros; a missing one counts as a value of its own. All that is fitted (mean, variance,
    median, values) comes from the training rows.

    Args:
        table: the features, without the target.
        where: begins a message: the key and what it got, such as ``data.path=FILE``.
        standardize: False leaves numbers as they are.

    Raises:
        ConfigError: no column at all, a column without any value, text among numbers, an infinite number, dates, a
            text column that looks like an identifier.
    """

    def __init__(self, table: "pd.DataFrame", where: str, standardize: bool = True) -> None:
        import pandas as pd

        if table.shape[1] == 0:
            raise ConfigError(f"{where}: has no column besides the target; add features")
        numeric: dict[str, np.ndarray] = {}
        self.categories: dict[str, np.ndarray] = {}
        for name in table.columns:
            key, how = f"{where}: column {str(name)!r}", LEAVE_OUT.format(name=name)
            if table[name].isna().all():
                raise ConfigError(f"{key} has no value in any row; {how}")
            declared = isinstance(table[name].dtype, pd.CategoricalDtype)
            values = None if declared else numbers(table[name], key)
            if values is not None:
                numeric[str(name)] = values
            else:
                self.categories[str(name)] = _values(table[name], key, how)
        self.numbers = None
        if numeric:
            self.numbers = Standardized(np.stack(list(numeric.values()), axis=1), standardize, list(numeric))

    def __call__(self, train: np.ndarray) -> Tensor:
        """All rows, float32 (n, features), fitted on the row numbers ``train``."""
        blocks = [self.numbers(train)] if self.numbers else []
        for values in self.categories.values():
            blocks.append(torch.from_numpy((values[:, None] == np.unique(values[train])).astype(np.float32)))
        return torch.cat(blocks, dim=1)

    def described(self, train: np.ndarray) -> list[dict[str, Any]]:
        """Of each input what it is made from: see `Standardized`; or 1 where the column ``name`` has the ``value``.

        Of a category the empty text is a missing value.
        """
        numbers = self.numbers.described(train) if self.numbers else []
        there = {name: np.unique(values[train]) for name, values in self.categories.items()}
        return [*numbers, *({"name": name, "value": str(value)} for name, found in there.items() for value in found)]


def _values(column: "pd.Series", key: str, remove: str) -> np.ndarray:
    written = text(column)
    distinct = int(written.nunique())
    if distinct == 0:
        raise ConfigError(f"{key} has no value in any row; {remove}")
    if distinct > MANY and distinct > len(written) / 2:
        raise ConfigError(
            f"{key} holds {distinct} different texts in {len(written)} rows (such as {written.dropna().iloc[0]!r}), an "
            f"identifier or numbers written with a comma; {remove}, or write numbers with a point"
        )
    return written.fillna(MISSING).to_numpy(dtype=str)
