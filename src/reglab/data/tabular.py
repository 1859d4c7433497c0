"""What all tables share: which column is the target, which one splits the rows, and what the others become."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from reglab.data.axes import check_split_column
from reglab.data.base import TensorData
from reglab.data.cells import text
from reglab.data.columns import Columns, on_spellings
from reglab.data.folds import check_folds, fold_name
from reglab.data.source import Source
from reglab.data.split_column import splitter
from reglab.data.suspicions import suspicions
from reglab.data.target import KINDS, Target, encode_target
from reglab.schema.errors import ConfigError, Setting
from reglab.wording import join_options

if TYPE_CHECKING:
    import pandas as pd


class Origin(NamedTuple):
    """Where a table is from, for messages.

    Args:
        where: the key that gave it, and what it got: ``data.path=FILE``.
        columns: a remark where a column is not found.
    """

    where: str
    columns: str = " (the first line must be the header)"


@dataclass(frozen=True)
class Roles:
    """Roles of the columns; the arguments of `Tabular`."""

    target: str | None
    kind: str = "auto"
    standardize: bool = True
    ignore: tuple[str, ...] = ()
    split_column: str | None = None
    split_by: str | None = None
    test_fold: str | None = None
    val_fold: str | None = None


class Tabular(TensorData):
    """Numbers and categories of a table's columns.

    See `Columns` for what becomes of them, of booleans and of missing values: inputs (features,).

    Args:
        target: name of the target column; all others but ``split_column`` and those to ignore are features.
        kind: ``classification``, ``regression``, or ``auto``: text, booleans, declared categories, and whole numbers
            with at most 20 different values (each in two rows or more on average), are classes, all else is a
            regression.
        standardize: features, and the target of a regression, get mean 0 and variance 1 over the training rows.
        ignore: columns that are no features; None: none.
        split_column: name of the column that splits the rows; None: they are drawn at random.
        split_by: how it does: ``groups`` (see `Groups`), ``parts`` (`Parts`), ``folds`` (`folds`) or ``time`` (`Time`).
        test_fold: of ``folds``, the one to test on, a number or a word; required unless ``test_fraction`` is 0.
        val_fold: that for validation; None: rows are drawn from the other folds.
        axes: see `TensorData`.

    Raises:
        ConfigError: an unknown kind or way, a split column without a way, or folds as `check_folds` refuses them;
            in ``setup``: what the table holds.
    """

    def __init__(
        self,
        *,
        target: str | None,
        kind: str = "auto",
        standardize: bool = True,
        ignore: Sequence[str] | None = None,
        split_column: str | None = None,
        split_by: str | None = None,
        test_fold: str | float | None = None,
        val_fold: str | float | None = None,
        **axes: Any,
    ) -> None:
        if kind not in KINDS:
            near = difflib.get_close_matches(str(kind), KINDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(Setting("data.kind", kind), f"must be one of {', '.join(KINDS)}{hint}")
        check_split_column(split_column, split_by, target)
        super().__init__(**axes)
        check_folds(split_by, test_fold, val_fold, self.test_fraction)
        column = None if split_column is None else str(split_column)
        test, val = (None if fold is None else fold_name(fold) for fold in (test_fold, val_fold))
        goal = None if target is None else str(target)
        left = tuple(str(name) for name in ignore or ())
        self.roles = Roles(goal, kind, standardize, left, column, split_by, test, val)


def source(
    table: "pd.DataFrame",
    roles: Roles,
    origin: Origin,
    *,
    goal: Target | None = None,
    inputs: Tensor | None = None,
    held_out: int = 0,
) -> Source:
    """The rows of a table before they are split.

    Args:
        table: all rows; names of columns are texts.
        roles: with a target.
        origin: of the table.
        goal: the target, encoded; None: as the table holds it.
        inputs: what each row is about, (rows, *shape), where that is in no column; None: the features.
        held_out: how many rows at the end are the data set's own test.

    Raises:
        ConfigError: no such column, or what one holds does not do.
    """
    _check_roles(table, roles, origin)
    split = None
    if roles.split_column is not None and roles.split_by is not None:
        split = splitter(table[roles.split_column], roles.split_by, roles.test_fold, roles.val_fold)
    goal = goal or encode_target(table[roles.target], roles.kind)
    apart = {roles.target, roles.split_column, *roles.ignore}
    features = table[[column for column in table.columns if column not in apart]]
    remarks = list(goal.remarks)
    if roles.split_column is not None and roles.split_by in ("groups", "folds"):
        written = sorted(text(table[roles.split_column]).unique())
        remarks += on_spellings(f"data.split_column={roles.split_column}", written, roles.split_by)
    if inputs is None:
        columns = Columns(features, origin.where, roles.standardize)
        remarks += [*columns.remarks, *suspicions(columns, goal)]
    return Source(
        columns if inputs is None else inputs,
        torch.from_numpy(goal.values),
        classes=len(goal.names) or None,
        standardize_target=roles.standardize and goal.kind == "regression",
        held_out=held_out,
        class_names=goal.names,
        splitter=split,
        remarks=tuple(remarks),
    )


def _check_roles(table: "pd.DataFrame", roles: Roles, origin: Origin) -> None:
    columns = [("data.target", roles.target), ("data.split_column", roles.split_column)]
    for key, name in (*columns, *(("data.ignore", name) for name in roles.ignore)):
        if name is not None:
            check_column(key, name, table, origin)
    if roles.split_column == roles.target:
        raise ConfigError(
            Setting("data.split_column", roles.target), "is the target", "name a column that is not predicted"
        )
    for role, name in (("target", roles.target), ("split column", roles.split_column)):
        if name in roles.ignore:
            raise ConfigError(
                Setting("data.ignore", f"[{name}]"), f"is the {role}, which is no feature", "leave it out of the list"
            )


def check_column(key: str, name: str, table: "pd.DataFrame", origin: Origin) -> None:
    """Refuse a column that the table does not have, and suggest similar names."""
    columns = [str(column) for column in table.columns]
    if name not in columns:
        raise ConfigError(
            Setting(key, name),
            f"no such column in {origin.where.partition('=')[2]}",
            _hint(name, columns, origin.columns),
        )


def _hint(name: str, columns: list[str], remark: str) -> str:
    lowered = {column.lower(): column for column in reversed(columns)}
    near = [lowered[word] for word in difflib.get_close_matches(name.lower(), lowered, n=2, cutoff=0.6)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"it has {join_options(columns)}{remark}"
