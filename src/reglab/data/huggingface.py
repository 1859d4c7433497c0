"""A data set of the Hugging Face hub: images with labels, or a table."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch

from reglab.data import hub
from reglab.data.base import TensorData
from reglab.data.columns import Columns
from reglab.data.files import stem
from reglab.data.pictures import Picture, stacked
from reglab.data.source import Source
from reglab.data.target import Target, encode_target
from reglab.errors import ConfigError

if TYPE_CHECKING:
    from datasets import Dataset

LABELS = ("label", "labels", "target")  # what a target column is called where none is named


class Huggingface(TensorData):
    """Images (channels, height, width) from 0 to 1 where a column holds them, else numbers and categories of columns.

    See `Columns` for what becomes of these.

    Rows of all parts are one pool that the split seed draws from, but for the data set's own test (``test``, else
    ``validation``), which is the test part where ``test_fraction`` is None. Texts are read by data=huggingface_text.

    Args:
        path: a folder (of ``save_to_disk``, or with files of CSV, JSON, Parquet, images), or a name in the cache.
        config: which of the data sets that one name stands for; None: the only one.
        target: the column to predict; None: the one called label, labels or target.
        image: the column of images; None: the only one there is, and a table where there is none.
        kind: of the task, see `Csv`; a column of class labels is a classification.
        standardize: numbers of a table, and a regression target, get mean 0 and variance 1 over the training rows.
        size: (height, width) that every image is scaled to; None: all have one size.
        name: None: the end of the path.
        axes: see `TensorData`.

    Raises:
        ConfigError: in ``setup``: no such data set or column, or what it holds.
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
        kind: str = "auto",
        standardize: bool = True,
        size: Sequence[int] | None = None,
        name: str | None = None,
        **axes: Any,
    ) -> None:
        super().__init__(name=name or stem(path or ""), **axes)
        self.path, self.config = path, config
        self.target, self.image = target, image
        self.declared_kind, self.standardize = kind, standardize
        self.size = (size[0], size[1]) if size else None

    def load(self) -> Source:
        """All rows, those of the data set's own test at the end."""
        asked = _Asked(self.path, self.config, self.target, self.image, self.declared_kind, self.standardize, self.size)
        return _source(asked, hub.version(self.path))


class _Asked(NamedTuple):
    """What a source is made from; names as in `Huggingface`."""

    path: str | None
    config: str | None
    target: str | None
    image: str | None
    kind: str
    standardize: bool
    size: tuple[int, int] | None


@lru_cache(maxsize=2)  # read once in a sweep, and again where a file has changed
def _source(asked: _Asked, _version: object) -> Source:
    from datasets import concatenate_datasets

    key = f"data.path={asked.path}"
    parts = hub.parts(asked.path, asked.config)
    test = hub.test_part(parts)
    try:
        rows = concatenate_datasets([parts[name] for name in sorted(parts, key=lambda name: name == test)])
    except ValueError as error:
        raise ConfigError(f"{key}: its parts have different columns; save one of them alone") from error
    target = _target(asked, rows.column_names)
    goal = _encoded(rows, target, asked)
    images = [name for name, feature in rows.features.items() if type(feature).__name__ == "Image"]
    if images or asked.image:
        inputs: Any = stacked(_pictures(rows, _image(asked, images)), asked.size, key)
    else:
        inputs = Columns(rows.remove_columns([target]).to_pandas(), key, asked.standardize)
    return Source(
        inputs,
        torch.from_numpy(goal.values),
        classes=len(goal.names) or None,
        standardize_target=asked.standardize and goal.kind == "regression",
        held_out=len(parts[test]) if test else 0,
        class_names=goal.names,
    )


def _target(asked: _Asked, columns: Sequence[str]) -> str:
    there = f"{asked.path} has {', '.join(columns)}"
    if asked.target is None:
        found = [name for name in LABELS if name in columns]
        if len(found) != 1:
            called = " and ".join(found) if found else f"no {', '.join(LABELS[:-1])} or {LABELS[-1]}"
            raise ConfigError(f"data.target=null: found {called}; name the column to predict ({there})")
        return found[0]
    if asked.target not in columns:
        raise ConfigError(f"data.target={asked.target}: no such column; {there}")
    return asked.target


def _image(asked: _Asked, images: Sequence[str]) -> str:
    if asked.image is None and len(images) == 1:
        return images[0]
    if asked.image not in images:
        given = "null" if asked.image is None else asked.image
        where = f"{' and '.join(images)} hold some" if images else f"no column of {asked.path} does"
        raise ConfigError(f"data.image={given}: is no column of images; {where}")
    return str(asked.image)


def _encoded(rows: "Dataset", target: str, asked: _Asked) -> Target:
    names = getattr(rows.features[target], "names", None)
    if names is None or asked.kind == "regression":
        return encode_target(rows.select_columns([target]).to_pandas()[target], asked.kind)
    numbers = np.array(rows[target][:], dtype=np.int64)
    if (numbers < 0).any():
        raise ConfigError(f"data.target={target}: {(numbers < 0).sum()} rows have no label; save the others alone")
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
