"""A user's own table: a CSV or Parquet file."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from reglab.data.columns import leave_out
from reglab.data.files import check_file, stem
from reglab.data.source import Source
from reglab.data.table import read_table
from reglab.data.tabular import Origin, Roles, Tabular, source
from reglab.schema.errors import ConfigError, Setting


class Csv(Tabular):
    """Numbers and categories of a file's columns.

    See `Tabular` for what becomes of them.

    Args:
        path: the file (.csv, .csv.gz, .tsv, .tsv.gz, .parquet, .pq), with a header.
        target: name of the target column, required.
        name: of the data set; None: the file's stem.
        columns: see `Tabular`.

    Raises:
        ConfigError: the file, the target or the kind is missing or unknown; in ``setup``: what the file holds.
    """

    dims = 1

    def __init__(self, *, path: str | None, target: str | None, name: str | None = None, **columns: Any) -> None:
        check_file(path)
        assert path is not None
        if target is None or target == "":
            raise ConfigError(Setting("data.target", target), "name the target column, as in data.target=COLUMN")
        super().__init__(name=name or stem(path), target=target, **columns)
        self.path = path

    def load(self) -> Source:
        """All rows of the file."""
        state = Path(self.path).expanduser().stat()
        return _source(self.path, self.roles, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=4)  # read once in a sweep, and again where the file has changed
def _source(path: str, roles: Roles, version: tuple[int, int]) -> Source:
    table, remarks, index = read_table(path)
    table.columns = table.columns.astype(str)
    made = source(table, roles, Origin(f"data.path={path}"))
    apart = (roles.target, roles.split_column, *roles.ignore)
    indices = [
        f"column {name!r}: was the table's index and is a feature; if it is none, {leave_out(name)}"
        for name in index
        if name not in apart
    ]
    return replace(made, remarks=(*remarks, *indices, *made.remarks))
