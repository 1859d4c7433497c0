"""A data set of the Hugging Face hub: images with labels, or a table."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from reglab.data import hub
from reglab.data.files import stem, walk
from reglab.data.images import ImageFile, decode_images, equal_file_caveats
from reglab.data.source import Source
from reglab.data.tables.tabular import Roles, TableOrigin, Tabular, table_source
from reglab.data.tables.target import Target
from reglab.schema.constraints import IMAGE_SIZE, Constraints, Nullable
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import CLASSIFICATION, NUMBER_TARGETS, features_of
from reglab.schema.text import join_names, join_options
from reglab.schema.text_constraints import PATH, Text

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

_TARGET_NAMES = ("label", "labels", "target")  # names of the target column if none is set


class Huggingface(Tabular):
    """A data set of the Hugging Face hub: images with labels, or a table.

    See `Tabular`.

    All parts are pooled and split by the split seed or by a column. The predefined test (``test``, else ``validation``)
    is the test if ``test_fraction`` is None and no column splits the rows. Columns of class labels are categories.
    Texts are read by data=huggingface_text.

    Args:
        path: a folder (from ``save_to_disk``, or with CSV, JSON, Parquet or image files), or a name in the cache.
        config: name of a subset; None: the only one.
        target: the column to predict; None: the one called label, labels or target.
        image: the column of images; None: the only one, or a table if there is none.
        size: (height, width) that every image is scaled to; None: all have one size.
        name: name of the data set; None: the end of the path.
        columns: see `Tabular`.

    Raises:
        ConfigError: see `Tabular`; in ``setup``: no such data set or column, or cells that cannot be used.
    """

    inputs_description: ClassVar = (
        "Images (channels, height, width) from 0 to 1 if there is a column of images, else numbers and categories."
    )

    may_be_a_name: ClassVar = True
    """The path may be a name in the Hugging Face cache."""

    constraints: ClassVar[Constraints] = {
        "path": Nullable(PATH),
        "config": Nullable(Text()),
        "image": Nullable(Text()),
        "size": IMAGE_SIZE,
    }

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
        """Return all rows, those of the predefined test at the end."""
        location = _Location(self.path, self.config, self.image, self.size)
        return _read(location, self.roles, hub.file_versions(self.path))


class _Location(NamedTuple):
    """The arguments of `Huggingface` that determine the rows."""

    path: str | None
    config: str | None
    image: str | None
    size: tuple[int, int] | None


@lru_cache(maxsize=2)  # read once in a sweep, and again if a file has changed
def _read(location: _Location, roles: Roles, _version: object) -> Source:
    from datasets import concatenate_datasets

    setting = Setting("data.path", location.path)
    parts = hub.load_parts(location.path, location.config)
    test = hub.predefined_test(parts)
    names = sorted(parts, key=lambda name: name == test)
    try:
        rows = concatenate_datasets([parts[name] for name in names])
    except ValueError as error:
        raise ConfigError(setting, "its parts have different columns", "save one of them alone") from error
    roles = replace(roles, target=_target(roles.target, rows.column_names))
    image_columns = [name for name, feature in rows.features.items() if type(feature).__name__ == "Image"]
    for role, name in (("target", roles.target), ("split_column", roles.split_column)):
        if name in image_columns:
            raise ConfigError(Setting(f"data.{role}", name), "contains images", "name another column, or null")
    images = [name for name in image_columns if name not in roles.ignore]
    decoded = None
    if images or location.image:
        decoded = decode_images(_image_files(rows, _image_column(location, images)), location.size, setting)
    table = _table(rows.remove_columns(image_columns), roles)
    source = table_source(
        table.assign(**dict.fromkeys(image_columns)),  # data.ignore may name them
        roles,
        TableOrigin(setting, hint=""),
        target=_class_labels(rows, roles),
        inputs=decoded.tensor if decoded else None,
        held_out=len(parts[test]) if test else 0,
    )
    source = replace(source, parts=tuple(names))
    if decoded is None:
        return replace(source, notes=(*source.notes, *_csv_caveats(location.path)))
    row_names = [f"row {number}" for number in range(len(source.targets))]
    copies = equal_file_caveats("data.path", row_names, source.targets.tolist(), decoded.digests)
    return replace(source, notes=(*source.notes, *decoded.notes, *copies))


def _csv_caveats(path: str | None) -> Iterator[str]:
    """Report a folder with CSV files, whose missing values and leading zeros the library datasets reads differently."""
    folder = Path(path or "").expanduser()
    if path and folder.is_dir() and any(file.suffix.lower() in (".csv", ".tsv") for file in walk(folder)):
        yield (
            "data.path: CSV files are read by Hugging Face's library datasets, which takes words such as NA and None "
            "for missing values and drops leading zeros; data=csv keeps these words and zeros"
        )


def _target(target: str | None, columns: Sequence[str]) -> str:
    if target is not None:
        return target
    candidates = [name for name in _TARGET_NAMES if name in columns]
    if len(candidates) != 1:
        present = join_names(candidates) if candidates else f"no {', '.join(_TARGET_NAMES[:-1])} or {_TARGET_NAMES[-1]}"
        raise ConfigError(
            Setting("data.target", None),
            f"the data set has {present}",
            f"name the column to predict, one of {join_options(columns)}",
        )
    return candidates[0]


def _image_column(location: _Location, images: Sequence[str]) -> str:
    if location.image is None and len(images) == 1:
        return images[0]
    if location.image not in images:
        remedy = f"name one of {join_options(images)}" if images else f"{location.path} has none"
        raise ConfigError(Setting("data.image", location.image), "is not a column of images", remedy)
    return str(location.image)


def _table(rows: "Dataset", roles: Roles) -> "pd.DataFrame":
    """Return the rows with the names of class labels; those of a regression's target stay numbers."""
    import pandas as pd

    table = rows.to_pandas()
    for name, feature in rows.features.items():
        if (labels := getattr(feature, "names", None)) and not (name == roles.target and _is_number(roles.kind)):
            table[name] = pd.Categorical.from_codes(table[name].fillna(-1).astype(int), labels)
    return table


def _class_labels(rows: "Dataset", roles: Roles) -> Target | None:
    """Return the target with class labels in their order; None if it is not a column of class labels."""
    names = getattr(rows.features.get(roles.target), "names", None)
    if names is None or _is_number(roles.kind):
        return None
    numbers = np.array([-1 if number is None else number for number in rows[roles.target][:]], dtype=np.int64)
    if (numbers < 0).any():
        missing = (numbers < 0).sum()
        raise ConfigError(Setting("data.target", roles.target), f"{missing} rows have no label", "remove these rows")
    present, classes = np.unique(numbers, return_inverse=True)  # without classes that never occur
    kind = CLASSIFICATION.name if roles.kind == "auto" else roles.kind
    return Target(kind, classes.astype(np.int64), tuple(str(names[number]) for number in present))


def _is_number(kind: str) -> bool:
    return kind != "auto" and NUMBER_TARGETS in features_of(kind)


def _image_files(rows: "Dataset", column: str) -> list[ImageFile]:
    from datasets import Image

    encoded = rows.select_columns([column]).cast_column(column, Image(decode=False))
    return [ImageFile(f"row {number}", partial(_content, row[column])) for number, row in enumerate(encoded)]


def _content(encoded: dict[str, Any]) -> bytes:
    content: bytes | None = encoded["bytes"]
    return Path(encoded["path"]).read_bytes() if content is None else content
