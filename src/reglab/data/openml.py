"""A table of OpenML: most tabular benchmarks, by name and version."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reglab.data.openml_fetch import DEFAULT_TARGET, Wanted, fetch
from reglab.data.openml_name import check_openml
from reglab.data.source import Source
from reglab.data.tabular import Origin, Roles, Tabular, check_column, source
from reglab.schema.errors import ConfigError, Setting
from reglab.wording import join_options

if TYPE_CHECKING:
    import pandas as pd

_KEPT = ("id", "name", "version", "status", "licence", "url", "md5_checksum")


class Openml(Tabular):
    """Numbers and categories of the columns of a data set of OpenML, downloaded once.

    See `Tabular` for what becomes of them.

    A number, or a name with a version, is one table for ever: OpenML changes none that it has published, and its
    checksum is compared. A name alone is the one active version, which may be another one day: a run's
    ``openml.json`` says which it was. Columns that OpenML says to ignore are no features, but may be target or split
    column. Needs the network for the first time alone.

    Source: Vanschoren, van Rijn, Bischl and Torgo, OpenML: networked science in machine learning, 2013,
    doi:10.1145/2641190.2641198; through scikit-learn's ``fetch_openml``.

    Args:
        name: on OpenML; beside ``id`` any label.
        version: of that name, 1 or more; None: the active one, refused where there are several.
        id: OpenML's number, instead of name and version.
        cache: folder for what is downloaded; None: scikit-learn's own (``SCIKIT_LEARN_DATA``, or
            ``~/scikit_learn_data``).
        target: None: the data set's default target.
        columns: see `Tabular`.

    Raises:
        ConfigError: neither name nor number, or both a number and a version; in ``setup``: no such data set, no answer
            from OpenML, sparse data, no default target, or what the table holds.
    """

    dims = 1

    def __init__(
        self,
        *,
        name: str | None = None,
        version: int | None = None,
        id: int | None = None,
        cache: str | None = None,
        target: str | None = None,
        **columns: Any,
    ) -> None:
        check_openml(name, id, version, cache)
        super().__init__(name=name or f"openml-{id}", target=target, **columns)
        self.wanted = Wanted(name if id is None else None, version, id, cache)

    def load(self) -> Source:
        """All rows."""
        return _read(self.wanted, self.roles)[0]

    def files(self) -> dict[str, str]:
        """The data set that was found."""
        return {"openml.json": json.dumps(_read(self.wanted, self.roles)[1], indent=2)}


@lru_cache(maxsize=2)  # parsed once in a sweep
def _read(wanted: Wanted, roles: Roles) -> tuple[Source, dict[str, str]]:
    try:
        bunch = fetch(wanted, roles.target or DEFAULT_TARGET)
    except KeyError:  # no such target: to say which there are
        check_column("data.target", str(roles.target), fetch(wanted, None).frame, _origin(wanted))
        raise
    target = roles.target or _default_target(wanted, bunch.target_names, list(bunch.frame.columns))
    table = _with_split_column(wanted, bunch.frame, roles.split_column)
    details = {key: str(bunch.details[key]) for key in _KEPT if key in bunch.details}
    return source(table, replace(roles, target=target), _origin(wanted)), details


def _origin(wanted: Wanted) -> Origin:
    return Origin(wanted.key, columns="")


def _default_target(wanted: Wanted, targets: Sequence[str], columns: Sequence[str]) -> str:
    if len(targets) == 1:
        return targets[0]
    if not targets:
        raise ConfigError(
            Setting("data.target", None),
            f"OpenML names no target for {wanted.key.partition('=')[2]}",
            f"name one of {join_options(columns)}",
        )
    raise ConfigError(
        Setting("data.target", None),
        f"OpenML names {len(targets)} targets ({', '.join(targets)})",
        f"name one, and leave the others out, as in data.target={targets[0]} data.ignore=[{','.join(targets[1:])}]",
    )


def _with_split_column(wanted: Wanted, table: "pd.DataFrame", column: str | None) -> "pd.DataFrame":
    """The table, with the split column where OpenML says to ignore that, as it does with groups and row numbers."""
    if column is None or column in table.columns:
        return table
    try:
        return table.assign(**{column: fetch(wanted, column, "data.split_column").frame[column]})
    except KeyError:
        check_column("data.split_column", column, table, _origin(wanted))
        raise
