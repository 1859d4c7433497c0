"""A user's own table: a CSV or Parquet file."""

import difflib
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from reglab.data.base import TensorData
from reglab.data.columns import Columns
from reglab.data.files import check_file, stem
from reglab.data.source import Source
from reglab.data.table import read_table
from reglab.data.target import KINDS, encode_target
from reglab.errors import ConfigError


class Csv(TensorData):
    """Inputs (features,): see ``Columns`` for what becomes of numbers, booleans, categories and missing values.

    Args:
        path: the file (.csv, .csv.gz, .tsv, .tsv.gz, .parquet, .pq), with a header.
        target: name of the target column; all other columns are features.
        kind: ``classification``, ``regression``, or ``auto``: text, booleans and whole numbers with at most 20
            different values (each in two rows or more on average) are classes, all else is a regression.
        standardize: features, and the target of a regression, get mean 0 and variance 1 over the training rows.
        name: of the data set; None: the file's stem.
        axes: see ``TensorData``.

    Raises:
        ConfigError: the file, the target or the kind is missing or unknown; in ``setup``: what the file holds.
    """

    dims = 1

    def __init__(
        self,
        *,
        path: str | None,
        target: str | None,
        kind: str = "auto",
        standardize: bool = True,
        name: str | None = None,
        **axes: Any,
    ) -> None:
        check_file(path)
        assert path is not None
        if target is None or target == "":
            raise ConfigError(f"data.target={target}: name the target column, as in data.target=COLUMN")
        if kind not in KINDS:
            near = difflib.get_close_matches(str(kind), KINDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"data.kind={kind}: must be one of {', '.join(KINDS)}{hint}")
        super().__init__(name=name or stem(path), **axes)
        self.path, self.target, self.declared_kind, self.standardize = path, str(target), kind, standardize

    def load(self) -> Source:
        """All rows of the file."""
        state = Path(self.path).expanduser().stat()
        version = (state.st_mtime_ns, state.st_size)
        return _source(self.path, self.target, self.declared_kind, self.standardize, version)


@lru_cache(maxsize=4)  # read once in a sweep, and again where the file has changed
def _source(path: str, target: str, kind: str, standardize: bool, version: tuple[int, int]) -> Source:
    table = read_table(path)
    columns = [str(column) for column in table.columns]
    if target not in columns:
        raise ConfigError(f"data.target={target}: no such column in {path}; {_hint(target, columns)}")
    table.columns = table.columns.astype(str)
    goal = encode_target(table[target], kind)
    return Source(
        Columns(table.drop(columns=target), path, standardize),
        torch.from_numpy(goal.values),
        classes=len(goal.names) or None,
        standardize_target=standardize and goal.kind == "regression",
        class_names=goal.names,
    )


def _hint(target: str, columns: list[str]) -> str:
    lowered = {column.lower(): column for column in reversed(columns)}
    near = [lowered[name] for name in difflib.get_close_matches(target.lower(), lowered, n=2, cutoff=0.6)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    shown = columns if len(columns) <= 10 else [*columns[:4], "...", *columns[-4:]]
    return f"it has {', '.join(shown)} (the first line must be the header)"
