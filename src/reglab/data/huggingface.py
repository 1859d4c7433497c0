"""A data set of the Hugging Face hub: images with labels, or a table."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from reglab.data import hub
from reglab.data.files import stem, walk
from reglab.data.pictures import Picture, equal_files, stacked
from reglab.data.source import Source
from reglab.data.tabular import Origin, Roles, Tabular, source
from reglab.data.target import Target
from reglab.schema.errors import ConfigError, Setting
from reglab.wording import join_options

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

LABELS = ("label", "labels", "target")  # what a target column is called where none is named


class Huggingface(Tabular):
    """Images (channels, height, width) from 0 to 1 where a column holds them, else numbers and categories of columns.

    See `Columns` for what becomes of these.

    Rows of all parts are one pool that the split seed, or a column, draws from, but for the data set's own test
    (``test``, else ``validation``), which is the test part where ``test_fraction`` is None and no column splits the
    rows. Columns of class labels are categories. Texts are read by data=huggingface_text.

    Args:
        path: a folder (of ``save_to_disk``, or with files of CSV, JSON, Parquet, images), or a name in the cache.
        config: which of the data sets that one name stands for; None: the only one.
        target: the column to predict; None: the one called label, labels or target.
        image: the column of images; None: the only one there is, and a table where there is none.
        size: (height, width) that every image is scaled to; None: all have one size.
        name: None: the end of the path.
        columns: see `Tabular`.

    Raises:
        ConfigError: what `Tabular` refuses; in ``setup``: no such data set or column, or what it holds.
    """

    may_be_a_name: ClassVar = True
    """Of the path: it need not be a file."""

    def __init__(
        self,
        *,
        path: str | None,
        config: str | None = None,
        target: str | None = None,
        image: str | None = None,
        size: Sequence[int] | None = None,
        name: str | None = None,
        **columns: Any,
    ) -> None:
        super().__init__(name=name or stem(path or ""), target=target, **columns)
        self.path, self.config, self.image = path, config, image
        self.size = (size[0], size[1]) if size else None

    def load(self) -> Source:
        """All rows, those of the data set's own test at the end."""
        return _source(_Asked(self.path, self.config, self.image, self.size), self.roles, hub.version(self.path))


class _Asked(NamedTuple):
    """What is read; names as in `Huggingface`."""

    path: str | None
    config: str | None
    image: str | None
    size: tuple[int, int] | None


@lru_cache(maxsize=2)  # read once in a sweep, and again where a file has changed
def _source(asked: _Asked, roles: Roles, _version: object) -> Source:
    from datasets import concatenate_datasets

    key = f"data.path={asked.path}"
    parts = hub.parts(asked.path, asked.config)
    test = hub.test_part(parts)
    names = sorted(parts, key=lambda name: name == test)
    try:
        rows = concatenate_datasets([parts[name] for name in names])
    except ValueError as error:
        raise ConfigError(key, "its parts have different columns", "save one of them alone") from error
    roles = replace(roles, target=_target(roles.target, rows.column_names))
    pictured = [name for name, feature in rows.features.items() if type(feature).__name__ == "Image"]
    for role, name in (("target", roles.target), ("split_column", roles.split_column)):
        if name in pictured:
            raise ConfigError(Setting(f"data.{role}", name), "holds images", "name another column, or null")
    images = [name for name in pictured if name not in roles.ignore]
    stack = stacked(_pictures(rows, _image(asked, images)), asked.size, key) if images or asked.image else None
    table = _table(rows.remove_columns(pictured), roles).assign(**dict.fromkeys(pictured))  # they may be ignored
    made = source(
        table,
        roles,
        Origin(key, columns=""),
        goal=_labels(rows, roles),
        inputs=stack.images if stack else None,
        held_out=len(parts[test]) if test else 0,
    )
    made = replace(made, parts=tuple(names))
    if stack is None:
        return replace(made, remarks=(*made.remarks, *_on_files(asked.path)))
    rows_named = [f"row {number}" for number in range(len(made.targets))]
    copies = equal_files("data.path", rows_named, made.targets.tolist(), stack.digests)
    return replace(made, remarks=(*made.remarks, *stack.remarks, *copies))


def _on_files(path: str | None) -> Iterator[str]:
    """Report a folder with CSV files, which the library reads in its own way."""
    folder = Path(path or "").expanduser()
    if path and folder.is_dir() and any(file.suffix.lower() in (".csv", ".tsv") for file in walk(folder)):
        yield (
            "data.path: the library datasets reads CSV files; words such as NA and None are missing values to it, and "
            "leading zeros are lost; data=csv reads a file as it is written"
        )


def _target(target: str | None, columns: Sequence[str]) -> str:
    if target is not None:
        return target
    found = [name for name in LABELS if name in columns]
    if len(found) != 1:
        called = " and ".join(found) if found else f"no {', '.join(LABELS[:-1])} or {LABELS[-1]}"
        raise ConfigError(
            Setting("data.target", None),
            f"found {called}",
            f"name the column to predict, one of {join_options(columns)}",
        )
    return found[0]


def _image(asked: _Asked, images: Sequence[str]) -> str:
    if asked.image is None and len(images) == 1:
        return images[0]
    if asked.image not in images:
        given = "null" if asked.image is None else asked.image
        some = f"hold{'s' * (len(images) == 1)} some"
        where = f"{' and '.join(images)} {some}" if images else f"no column of {asked.path} does"
        raise ConfigError(Setting("data.image", given), "is no column of images", where)
    return str(asked.image)


def _table(rows: "Dataset", roles: Roles) -> "pd.DataFrame":
    """The rows, with class labels by their names; those of a regression's target are numbers."""
    import pandas as pd

    table = rows.to_pandas()
    for name, feature in rows.features.items():
        if (labels := getattr(feature, "names", None)) and not (name == roles.target and roles.kind == "regression"):
            table[name] = pd.Categorical.from_codes(table[name].fillna(-1).astype(int), labels)
    return table


def _labels(rows: "Dataset", roles: Roles) -> Target | None:
    """The target where it holds class labels, in their order; None where it does not."""
    names = getattr(rows.features.get(roles.target), "names", None)
    if names is None or roles.kind == "regression":
        return None
    numbers = np.array([-1 if number is None else number for number in rows[roles.target][:]], dtype=np.int64)
    if (numbers < 0).any():
        missing = (numbers < 0).sum()
        raise ConfigError(
            Setting("data.target", roles.target), f"{missing} rows have no label", "save the others alone"
        )
    there, numbered = np.unique(numbers, return_inverse=True)  # a class that never occurs cannot be learnt
    return Target("classification", numbered.astype(np.int64), tuple(str(names[number]) for number in there))


def _pictures(rows: "Dataset", column: str) -> list[Picture]:
    from datasets import Image

    encoded = rows.select_columns([column]).cast_column(column, Image(decode=False))
    return [Picture(f"row {number}", partial(_content, row[column])) for number, row in enumerate(encoded)]


def _content(held: dict[str, Any]) -> bytes:
    content: bytes | None = held["bytes"]
    if content is not None:
        return content
    with open(held["path"], "rb") as file:
        return file.read()
