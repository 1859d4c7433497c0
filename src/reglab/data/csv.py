"""A user's table: a CSV or Parquet file."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from reglab.data.files import check_file, stem
from reglab.data.source import Source
from reglab.data.tables.features import leave_out
from reglab.data.tables.reading import read_table
from reglab.data.tables.tabular import Roles, TableOrigin, Tabular, table_source
from reglab.schema.constraints import Constraints, Nullable
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text_constraints import PATH, ColumnNames


class Csv(Tabular):
    """A user's table: a CSV or Parquet file.

    See `Tabular`.

    Args:
        path: the file (.csv, .csv.gz, .tsv, .tsv.gz, .parquet, .pq), with a header.
        target: name of the target column, or a list of the columns of a multi-label classification; required.
        name: name of the data set; None: the file's stem.
        columns: see `Tabular`.

    Raises:
        ConfigError: the file, the target or the kind is missing or unknown; in ``setup``: a table that cannot be used.
    """

    inputs_description: ClassVar = "Numbers and categories of a file's columns."

    dims = 1

    constraints: ClassVar[Constraints] = {"path": Nullable(PATH), "target": Nullable(ColumnNames())}

    def __init__(
        self, *, path: str | None, target: str | Sequence[str] | None, name: str | None = None, **columns: Any
    ) -> None:
        check_file(path)
        assert path is not None
        if target is None or target in ("", []):
            raise ConfigError(Setting("data.target", target), "required", "name the target column: data.target=COLUMN")
        super().__init__(name=name or stem(path), target=target, **columns)
        self.path = path

    def load(self) -> Source:
        """Return all rows of the file."""
        state = Path(self.path).expanduser().stat()
        return _read(self.path, self.roles, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=4)  # read once in a sweep, and again if the file has changed
def _read(path: str, roles: Roles, version: tuple[int, int]) -> Source:
    table, notes, indices = read_table(path)
    table.columns = table.columns.astype(str)
    source = table_source(table, roles, TableOrigin(Setting("data.path", path)))
    others = (*roles.targets, roles.split_column, *roles.ignore)
    index_notes = [
        f"column {name!r}: was the table's index and is a feature; if it is not one, {leave_out(name)}"
        for name in indices
        if name not in others
    ]
    return replace(source, notes=(*notes, *index_notes, *source.notes))
