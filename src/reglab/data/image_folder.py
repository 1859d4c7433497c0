"""A user's images, a folder for each class."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import torch

from reglab.data.base import TensorData
from reglab.data.files import check_regular, is_visible, stem, walk
from reglab.data.images import IMAGE_SUFFIXES, ImageFile, decode_images, equal_file_caveats
from reglab.data.source import Source
from reglab.data.tables.cells import SPELLING, spelling_pairs
from reglab.schema.constraints import IMAGE_SIZE, Constraints, Nullable
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text import join_options, pluralize
from reglab.schema.text_constraints import PATH

# Folders that are parts rather than classes, in upper or lower case: the part.
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class ImageFolder(TensorData):
    """A user's images, a folder for each class.

    The folder contains one folder for each class, with images at any depth; or ``train`` and ``test`` with such
    folders. Images in ``test`` are then the predefined test, used if ``test_fraction`` is None. Images in ``val`` are
    the predefined test if there is no ``test``; else they are pooled with those of ``train``, since validation is drawn
    by the split seed. Classes are in the order of their names. Hidden files and folders (``.DS_Store``,
    ``.ipynb_checkpoints``) and those that operating systems create (``__MACOSX``, ``@eaDir``) are left out. Reported in
    ``notes`` are other files that are not images, classes without an image, classes whose names differ only in case,
    and equal files.

    Args:
        root: the folder.
        size: (height, width) that every image is scaled to, bilinear with smoothing; None: all have one size.
        name: name of the data set; None: the folder's name.
        common: see `TensorData`.

    Raises:
        ConfigError: in ``setup``: no classes, no images, one that cannot be read, or several sizes without `size`.
    """

    inputs_description: ClassVar = (
        "Inputs (channels, height, width) from 0 to 1: one channel if all images are gray, else red, green and blue."
    )

    kind = "classification"
    dims = 3

    constraints: ClassVar[Constraints] = {"root": Nullable(PATH), "size": IMAGE_SIZE}

    def __init__(
        self, *, root: str | None = None, size: Sequence[int] | None = None, name: str | None = None, **common: Any
    ) -> None:
        super().__init__(name=name or stem(root or ""), **common)
        self.root = root
        self.size = (size[0], size[1]) if size else None

    def load(self) -> Source:
        """Return all images, those of the predefined test at the end."""
        assert self.root is not None
        folder = Path(self.root).expanduser()
        files = sorted(walk(folder))
        images = tuple((file, _modified_ns(file)) for file in files if file.suffix.lower() in IMAGE_SUFFIXES)
        others = tuple(str(file.relative_to(folder)) for file in files if file.suffix.lower() not in IMAGE_SUFFIXES)
        return _read(str(self.root), folder, images, others, self.size)


def _modified_ns(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


@lru_cache(maxsize=2)  # read once in a sweep
def _read(
    root: str,
    folder: Path,
    images: tuple[tuple[Path, int], ...],
    others: tuple[str, ...],
    size: tuple[int, int] | None,
) -> Source:
    setting = Setting("data.root", root)
    paths = [file.relative_to(folder) for file, _ in images]
    top_folders = sorted({path.parts[0] for path in paths if len(path.parts) > 1})
    parts = {top: _PARTS[top.lower()] for top in top_folders if top.lower() in _PARTS}
    in_parts = "train" in parts.values()
    _check_parts(setting, top_folders, parts, in_parts)
    held_out_folder = next(
        (top for part in ("test", "val") for top, name in parts.items() if in_parts and name == part), None
    )
    paths.sort(key=lambda path: path.parts[0] == held_out_folder)  # the held-out ones at the end
    labels = [path.parts[in_parts] if len(path.parts) > 1 + in_parts else "" for path in paths]
    _check_classes(setting, paths, labels)
    for path in paths:
        check_regular(folder / path, setting, str(path))
    names = sorted(set(labels))
    numbered = {name: number for number, name in enumerate(names)}
    decoded = decode_images([ImageFile(str(path), (folder / path).read_bytes) for path in paths], size, setting)
    targets = torch.tensor([numbered[label] for label in labels])
    held_out = sum(path.parts[0] == held_out_folder for path in paths)
    notes = [
        *decoded.notes,
        *_left_out_notes(others, folder, [folder / part for part in parts] if in_parts else [folder], names),
        *_spelling_caveats(names),
        *_nesting_caveats(paths, labels, 1 + in_parts),
        *equal_file_caveats("data.root", [str(path) for path in paths], labels, decoded.digests),
    ]
    return Source(
        decoded.tensor,
        targets,
        classes=len(names),
        held_out=held_out,
        parts=tuple(sorted(parts, key=lambda top: (top == held_out_folder, parts[top]))) if in_parts else (),
        class_names=tuple(names),
        notes=tuple(notes),
    )


def _check_parts(setting: Setting, tops: Sequence[str], parts: Mapping[str, str], in_parts: bool) -> None:
    if not in_parts:
        return
    if others := [top for top in tops if top not in parts]:
        train = next(top for top, part in parts.items() if part == "train")
        raise ConfigError(
            setting, f"contains {train} and also {others[0]}", "give classes, or train and test with classes"
        )
    for part in dict.fromkeys(parts.values()):
        same = [top for top, name in parts.items() if name == part]
        if len(same) > 1:
            raise ConfigError(setting, f"contains {same[0]} and {same[1]}, both the {part} part", "merge them")


def _check_classes(setting: Setting, images: Sequence[Path], labels: Sequence[str]) -> None:
    if not images:
        raise ConfigError(
            setting, f"contains no images ({', '.join(IMAGE_SUFFIXES)})", "give a folder with one folder per class"
        )
    if "" in labels:
        raise ConfigError(setting, f"{images[labels.index('')]} is not in the folder of a class", "move it into one")
    if len(set(labels)) == 1:
        raise ConfigError(setting, f"all {len(images)} images are of one class ({labels[0]})", "give each a folder")


def _left_out_notes(
    others: Sequence[str], folder: Path, parents: Sequence[Path], names: Sequence[str]
) -> Iterator[str]:
    """Report files without the suffix of an image, and folders of classes without an image."""
    if others:
        yield (
            f"data.root: {pluralize(len(others), 'file')} of unknown suffix left out ({join_options(others)}); images "
            f"end in {', '.join(IMAGE_SUFFIXES)}"
        )
    empty = [
        str(inner.relative_to(folder))
        for parent in parents
        for inner in sorted(parent.iterdir())
        if inner.is_dir() and inner.name not in names and is_visible(inner.name)
    ]
    if empty:
        yield (
            f"data.root: no image in the {pluralize(len(empty), 'folder')} {join_options(empty)}, which are not classes"
        )


def _spelling_caveats(names: Sequence[str]) -> Iterator[str]:
    for pair in spelling_pairs(names):
        yield f"data.root: the classes {pair} differ only in {SPELLING}; if they are one class, merge the folders"


def _nesting_caveats(images: Sequence[Path], labels: Sequence[str], depth: int) -> Iterator[str]:
    """Report classes that all contain the same folders: these may be the classes."""
    inner: dict[str, set[str]] = {label: set() for label in labels}
    for path, label in zip(images, labels, strict=True):
        inner[label].add(path.parts[depth] if len(path.parts) > depth + 1 else "")
    first = next(iter(inner.values()))
    if len(first) > 1 and "" not in first and all(folders == first for folders in inner.values()):
        yield (
            f"data.root: the classes are {join_options(sorted(inner))}, and each contains the folders "
            f"{join_options(sorted(first))}; if these are the classes, move them to the top"
        )
