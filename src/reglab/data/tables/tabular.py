"""The base class of tables: which column is the target, which one splits the rows, and which are features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from reglab.data.base import TensorData
from reglab.data.settings import SPLIT_METHODS, check_folds, check_split_column, check_target, fold_name
from reglab.data.source import Source
from reglab.data.tables.caveats import feature_caveats
from reglab.data.tables.cells import as_text
from reglab.data.tables.features import TableFeatures, spelling_notes
from reglab.data.tables.target import Target, encode_labels, encode_target, read_splitter
from reglab.schema.constraints import Boolean, Constraints, Described, ListOf, Nullable, OneOf
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import nearest
from reglab.schema.task_kinds import (
    LABEL_SETS,
    MULTILABEL,
    SCALED_TARGETS,
    TABLE_KINDS,
    features_of,
)
from reglab.schema.text import join_options
from reglab.schema.text_constraints import ColumnName, Fold, Text

if TYPE_CHECKING:
    import pandas as pd


class TableOrigin(NamedTuple):
    """Origin of a table, for messages.

    Args:
        setting: setting that names the table, such as ``Setting("data.path", "wine.csv")``.
        hint: text after the list of columns in the error about an unknown one.
    """

    setting: Setting
    hint: str = " (the first line must be the header)"


@dataclass(frozen=True)
class Roles:
    """Roles of the columns; see the arguments of `Tabular`."""

    target: str | None
    kind: str = "auto"
    standardize: bool = True
    ignore: tuple[str, ...] = ()
    split_column: str | None = None
    split_by: str | None = None
    test_fold: str | None = None
    val_fold: str | None = None
    labels: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """The target column or the columns of the labels; empty if the target is not known yet."""
        return self.labels or (() if self.target is None else (self.target,))


class Tabular(TensorData):
    """Base class of tables: numeric and categorical columns as inputs of shape (features,).

    See `TableFeatures`.

    Args:
        target: name of the target column, or names of the columns of a multi-label classification (see
            `encode_labels`); all others are features, except ``split_column`` and those to ignore.
        kind: kind of the task, or ``auto``, see `encode_target`.
        standardize: features, and the target of a regression, have mean 0 and variance 1 over the training rows.
        ignore: columns that are not features; None: none.
        split_column: name of the column that splits the rows; None: a random split.
        split_by: how it splits them: ``groups`` (see `GroupSplit`), ``parts`` (`PartSplit`), ``folds`` (`fold_split`)
            or ``time`` (`TimeSplit`).
        test_fold: name or number of the test fold; required with ``folds`` unless ``test_fraction`` is 0.
        val_fold: name or number of the validation fold; None: rows are drawn from the other folds.
        common: see `TensorData`.

    Raises:
        ConfigError: an unknown kind or split method, a split column without a method, or what `check_folds` refuses;
            in ``setup``: cells that cannot be used.
    """

    constraints: ClassVar[Constraints] = {
        "target": Nullable(ColumnName()),
        "kind": OneOf("auto", *TABLE_KINDS),
        "standardize": Boolean(),
        "ignore": Nullable(
            Described(
                ListOf(Text()),
                "a list of columns, as in [name,ticket] (in study.tasks, where a list is an axis, [[name,ticket]])",
            ),
            "none",
        ),
        "split_column": Nullable(ColumnName()),
        "split_by": Nullable(OneOf(*SPLIT_METHODS), "at random"),
        "test_fold": Nullable(Fold()),
        "val_fold": Nullable(Fold(), "rows drawn from the other folds"),
    }

    def __init__(
        self,
        *,
        target: str | Sequence[str] | None,
        kind: str = "auto",
        standardize: bool = True,
        ignore: Sequence[str] | None = None,
        split_column: str | None = None,
        split_by: str | None = None,
        test_fold: str | float | None = None,
        val_fold: str | float | None = None,
        **common: Any,
    ) -> None:
        Tabular.constraints["kind"].check("data.kind", kind)
        labels = () if target is None or isinstance(target, str | int | float) else tuple(map(str, target))
        if kind == "auto" and labels:
            kind = MULTILABEL.name
        check_target(kind, list(labels) or target)
        for name in labels or (None if target is None else str(target),):
            check_split_column(split_column, split_by, name)
        super().__init__(**common)
        check_folds(split_by, test_fold, val_fold, self.test_fraction)
        self.roles = Roles(
            None if target is None or labels else str(target),
            kind,
            standardize,
            tuple(str(name) for name in ignore or ()),
            None if split_column is None else str(split_column),
            split_by,
            None if test_fold is None else fold_name(test_fold),
            None if val_fold is None else fold_name(val_fold),
            labels,
        )


def table_source(
    table: "pd.DataFrame",
    roles: Roles,
    origin: TableOrigin,
    *,
    target: Target | None = None,
    inputs: Tensor | None = None,
    held_out: int = 0,
) -> Source:
    """Return the rows of a table as a data set.

    Args:
        table: all rows; names of columns are texts.
        roles: roles of the columns, with a target.
        origin: origin of the table.
        target: encoded; None: the table's column is encoded.
        inputs: (rows, *shape), instead of the features; None: the features.
        held_out: number of rows at the end that are the predefined test.

    Raises:
        ConfigError: no such column, or one with cells that cannot be used.
    """
    _check_roles(table, roles, origin)
    split = None
    if roles.split_column is not None and roles.split_by is not None:
        split = read_splitter(table[roles.split_column], roles.split_by, roles.test_fold, roles.val_fold)
    if target is None:
        labels = table[list(roles.labels)] if roles.labels else None
        target = encode_target(table[roles.target], roles.kind) if labels is None else encode_labels(labels, roles.kind)
    is_labels = LABEL_SETS in features_of(target.kind)
    notes = list(target.notes)
    if roles.split_column is not None and roles.split_by in ("groups", "folds"):
        written = sorted(as_text(table[roles.split_column]).unique())
        notes += spelling_notes(f"data.split_column={roles.split_column}", written, roles.split_by)
    if inputs is None:
        others = {*roles.targets, roles.split_column, *roles.ignore}
        columns = table[[column for column in table.columns if column not in others]]
        features = TableFeatures(columns, origin.setting, roles.standardize)
        notes += [*features.notes, *feature_caveats(features, target)]
    return Source(
        features if inputs is None else inputs,
        torch.from_numpy(target.values),
        classes=None if is_labels else len(target.names) or None,
        standardize_target=roles.standardize and SCALED_TARGETS in features_of(target.kind),
        held_out=held_out,
        class_names=() if is_labels else target.names,
        labels=target.names if is_labels else (),
        splitter=split,
        kind=target.kind,
        notes=tuple(notes),
    )


def _check_roles(table: "pd.DataFrame", roles: Roles, origin: TableOrigin) -> None:
    columns = [*(("data.target", name) for name in roles.targets), ("data.split_column", roles.split_column)]
    for key, name in (*columns, *(("data.ignore", name) for name in roles.ignore)):
        if name is not None:
            check_column(key, name, table, origin)
    if roles.split_column in roles.targets:
        raise ConfigError(
            Setting("data.split_column", roles.split_column), "is the target", "name a column that is not predicted"
        )
    for role, name in (*(("target", name) for name in roles.targets), ("split column", roles.split_column)):
        if name in roles.ignore:
            raise ConfigError(
                Setting("data.ignore", [name]),
                f"is the {role}, which is not a feature",
                "leave it out of the list",
            )


def check_column(key: str, name: str, table: "pd.DataFrame", origin: TableOrigin) -> None:
    """Raise if the table has no such column.

    Args:
        key: key of the setting that names the column.
        name: name of the column.
        table: all columns.
        origin: origin of the table.

    Raises:
        ConfigError: suggests similar names.
    """
    columns = [str(column) for column in table.columns]
    if name not in columns:
        raise ConfigError(
            Setting(key, name),
            f"no such column in {origin.setting.value}",
            _column_hint(name, columns, origin.hint),
        )


def _column_hint(name: str, columns: list[str], hint: str) -> str:
    if near := nearest(name, columns):
        return f"did you mean {near}?"
    return f"it has {join_options(columns)}{hint}"
