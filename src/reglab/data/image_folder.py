"""A user's images, a folder for each class."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from reglab.data.base import TensorData
from reglab.data.cells import SPELLING, written_twice
from reglab.data.files import check_regular, is_visible, stem, walk
from reglab.data.pictures import SUFFIXES, Picture, equal_files, stacked
from reglab.data.source import Source
from reglab.schema.errors import ConfigError
from reglab.wording import join_options, pluralize

# Folders that are parts and no classes, in any case of letters, by what they are.
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class ImageFolder(TensorData):
    """Inputs (channels, height, width) from 0 to 1: one channel where all images are gray, else red, green and blue.

    The folder holds one folder for each class, named like it, with images at any depth; or ``train`` and ``test``, with
    the classes in them: then those of ``test`` are the data set's own test rows, which are the test part where
    ``test_fraction`` is None. Images in ``val`` are such test rows where there is no ``test``; else they are rows like
    those of ``train``, for validation is drawn by the split seed. Classes are in the order of their names. Hidden files
    and folders (``.DS_Store``, ``.ipynb_checkpoints``) and those that systems create (``__MACOSX``, ``@eaDir``) are
    left out; other files that are no images, classes without an image, classes whose names differ only in case and
    equal files are reported in ``remarks``.

    Args:
        root: the folder.
        size: (height, width) that every image is scaled to, bilinear and smoothed; None: all have one size.
        name: None: the folder's name.
        axes: see `TensorData`.

    Raises:
        ConfigError: in ``setup``: no classes, no images, one that cannot be read, or several sizes without `size`.
    """

    kind = "classification"
    dims = 3

    def __init__(
        self, *, root: str | None = None, size: Sequence[int] | None = None, name: str | None = None, **axes: Any
    ) -> None:
        super().__init__(name=name or stem(root or ""), **axes)
        self.root = root
        self.size = (size[0], size[1]) if size else None

    def load(self) -> Source:
        """All images, those of the data set's own test at the end."""
        assert self.root is not None
        folder = Path(self.root).expanduser()
        files = sorted(walk(folder))
        images = tuple((file, _changed(file)) for file in files if file.suffix.lower() in SUFFIXES)
        others = tuple(str(file.relative_to(folder)) for file in files if file.suffix.lower() not in SUFFIXES)
        return _read(str(self.root), folder, images, others, self.size)


def _changed(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


@lru_cache(maxsize=2)  # read once in a sweep
def _read(
    root: str,
    folder: Path,
    images: tuple[tuple[Path, int], ...],
    others: tuple[str, ...],
    size: tuple[int, int] | None,
) -> Source:
    key = f"data.root={root}"
    inner = [file.relative_to(folder) for file, _ in images]
    tops = sorted({path.parts[0] for path in inner if len(path.parts) > 1})
    parts = {top: PARTS[top.lower()] for top in tops if top.lower() in PARTS}
    in_parts = "train" in parts.values()
    _check_parts(key, tops, parts, in_parts)
    held = next((top for part in ("test", "val") for top, name in parts.items() if in_parts and name == part), None)
    inner.sort(key=lambda path: path.parts[0] == held)  # the held-out ones at the end
    labels = [path.parts[in_parts] if len(path.parts) > 1 + in_parts else "" for path in inner]
    _check(key, inner, labels)
    for path in inner:
        check_regular(folder / path, f"{key}: {path}")
    names = sorted(set(labels))
    numbered = {name: number for number, name in enumerate(names)}
    stack = stacked([Picture(str(path), (folder / path).read_bytes) for path in inner], size, key)
    targets = torch.tensor([numbered[label] for label in labels])
    held_out = sum(path.parts[0] == held for path in inner)
    remarks = [
        *stack.remarks,
        *_left_out(others, folder, [folder / part for part in parts] if in_parts else [folder], names),
        *_alike(names),
        *_nested(inner, labels, 1 + in_parts),
        *equal_files("data.root", [str(path) for path in inner], labels, stack.digests),
    ]
    return Source(
        stack.images,
        targets,
        classes=len(names),
        held_out=held_out,
        parts=tuple(sorted(parts, key=lambda top: (top == held, parts[top]))) if in_parts else (),
        class_names=tuple(names),
        remarks=tuple(remarks),
    )


def _check_parts(key: str, tops: Sequence[str], parts: Mapping[str, str], in_parts: bool) -> None:
    if not in_parts:
        return
    if others := [top for top in tops if top not in parts]:
        train = next(top for top, part in parts.items() if part == "train")
        raise ConfigError(key, f"holds {train} and also {others[0]}", "give classes, or train and test with classes")
    for part in dict.fromkeys(parts.values()):
        same = [top for top, name in parts.items() if name == part]
        if len(same) > 1:
            raise ConfigError(key, f"holds {same[0]} and {same[1]}, both the {part} part", "merge them")


def _check(key: str, images: Sequence[Path], labels: Sequence[str]) -> None:
    if not images:
        raise ConfigError(key, f"holds no images ({', '.join(SUFFIXES)})", "give a folder with one folder a class")
    if "" in labels:
        raise ConfigError(key, f"{images[labels.index('')]} lies in no folder of a class", "move it into one")
    if len(set(labels)) == 1:
        raise ConfigError(key, f"all {len(images)} images are of one class ({labels[0]})", "give each a folder")


def _left_out(others: Sequence[str], folder: Path, places: Sequence[Path], names: Sequence[str]) -> Iterator[str]:
    """Report files that are no images by their suffix, and folders of classes without an image."""
    if others:
        yield (
            f"data.root: {pluralize(len(others), 'file')} of no known suffix left out ({join_options(others)}); "
            "images end in "
            f"{', '.join(SUFFIXES)}"
        )
    empty = [
        str(inner.relative_to(folder))
        for place in places
        for inner in sorted(place.iterdir())
        if inner.is_dir() and inner.name not in names and is_visible(inner.name)
    ]
    if empty:
        yield (
            f"data.root: no image in the {pluralize(len(empty), 'folder')} {join_options(empty)}, which are no classes"
        )


def _alike(names: Sequence[str]) -> Iterator[str]:
    for pair in written_twice(names):
        yield f"data.root: the classes {pair} differ only in {SPELLING}; if they are one class, merge the folders"


def _nested(images: Sequence[Path], labels: Sequence[str], depth: int) -> Iterator[str]:
    """Report classes that all have the same folders inside: these may be the classes."""
    inner: dict[str, set[str]] = {label: set() for label in labels}
    for path, label in zip(images, labels, strict=True):
        inner[label].add(path.parts[depth] if len(path.parts) > depth + 1 else "")
    first = next(iter(inner.values()))
    if len(first) > 1 and "" not in first and all(folders == first for folders in inner.values()):
        yield (
            f"data.root: the classes are {join_options(sorted(inner))}, and each holds the folders "
            f"{join_options(sorted(first))}; "
            "where these are the classes, move them to the top"
        )
