"""What all tables share: which column is the target, which one splits the rows, and what the others become."""

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from reglab.data.axes import check_split_column
from reglab.data.base import TensorData
from reglab.data.columns import REMOVE, Columns
from reglab.data.folds import check_folds, fold_name
from reglab.data.source import Source
from reglab.data.split_column import splitter
from reglab.data.target import KINDS, encode_target
from reglab.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


class Origin(NamedTuple):
    """Where a table is from, for messages.

    Args:
        where: the key that gave it, and what it got: ``data.path=FILE``.
        remove: how to be rid of a column, ``{name}``.
        columns: a remark where a column is not found.
    """

    where: str
    remove: str = REMOVE
    columns: str = " (the first line must be the header)"


@dataclass(frozen=True)
class Roles:
    """What columns are for; the arguments of `Tabular`."""

    target: str | None
    kind: str = "auto"
    standardize: bool = True
    split_column: str | None = None
    split_by: str | None = None
    test_fold: str | None = None
    val_fold: str | None = None


class Tabular(TensorData):
    """Numbers and categories of a table's columns.

    See `Columns` for what becomes of them, of booleans and of missing values: inputs (features,).

    Args:
        target: name of the target column; all others but ``split_column`` are features.
        kind: ``classification``, ``regression``, or ``auto``: text, booleans, declared categories, and whole numbers
            with at most 20 different values (each in two rows or more on average), are classes, all else is a
            regression.
        standardize: features, and the target of a regression, get mean 0 and variance 1 over the training rows.
        split_column: name of the column that splits the rows; None: they are drawn at random.
        split_by: how it does: ``groups`` (see `Groups`), ``parts`` (`Parts`), ``folds`` (`folds`) or ``time`` (`Time`).
        test_fold: of ``folds``, the one to test on, a number or a word; required unless ``test_fraction`` is 0.
        val_fold: that for validation; None: rows are drawn from the other folds.
        axes: see `TensorData`.

    Raises:
        ConfigError: an unknown kind or way, a split column without a way, or folds as `check_folds` refuses them;
            in ``setup``: what the table holds.
    """

    dims = 1

    def __init__(
        self,
        *,
        target: str | None,
        kind: str = "auto",
        standardize: bool = True,
        split_column: str | None = None,
        split_by: str | None = None,
        test_fold: str | float | None = None,
        val_fold: str | float | None = None,
        **axes: Any,
    ) -> None:
        if kind not in KINDS:
            near = difflib.get_close_matches(str(kind), KINDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"data.kind={kind}: must be one of {', '.join(KINDS)}{hint}")
        check_split_column(split_column, split_by, target)
        super().__init__(**axes)
        check_folds(split_by, test_fold, val_fold, self.test_fraction)
        column = None if split_column is None else str(split_column)
        test, val = (None if fold is None else fold_name(fold) for fold in (test_fold, val_fold))
        self.roles = Roles(None if target is None else str(target), kind, standardize, column, split_by, test, val)


def source(table: "pd.DataFrame", roles: Roles, origin: Origin) -> Source:
    """The rows of a table before they are split.

    Args:
        table: all rows; names of columns are texts.
        roles: with a target.
        origin: of the table.

    Raises:
        ConfigError: no such column, or what one holds does not do.
    """
    assert roles.target is not None
    check_column("data.target", roles.target, table, origin)
    features = table.drop(columns=roles.target)
    split = None
    if roles.split_column is not None and roles.split_by is not None:
        check_column("data.split_column", roles.split_column, table, origin)
        features = features.drop(columns=roles.split_column)
        split = splitter(table[roles.split_column], roles.split_by, roles.test_fold, roles.val_fold)
    goal = encode_target(table[roles.target], roles.kind)
    return Source(
        Columns(features, origin.where, roles.standardize, origin.remove),
        torch.from_numpy(goal.values),
        classes=len(goal.names) or None,
        standardize_target=roles.standardize and goal.kind == "regression",
        class_names=goal.names,
        splitter=split,
    )


def check_column(key: str, name: str, table: "pd.DataFrame", origin: Origin) -> None:
    """Refuses a column that the table does not have, and names what may have been meant."""
    columns = [str(column) for column in table.columns]
    if name not in columns:
        raise ConfigError(
            f"{key}={name}: no such column in {origin.where.partition('=')[2]}; {_hint(name, columns, origin.columns)}"
        )


def _hint(name: str, columns: list[str], remark: str) -> str:
    lowered = {column.lower(): column for column in reversed(columns)}
    near = [lowered[word] for word in difflib.get_close_matches(name.lower(), lowered, n=2, cutoff=0.6)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    shown = columns if len(columns) <= 10 else [*columns[:4], "...", *columns[-4:]]
    return f"it has {', '.join(shown)}{remark}"
