"""A user's images, a folder for each class."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from reglab.data.base import TensorData
from reglab.data.files import stem
from reglab.data.pictures import SUFFIXES, Picture, stacked
from reglab.data.source import Source
from reglab.errors import ConfigError

PARTS = ("train", "val", "valid", "validation", "test")


class ImageFolder(TensorData):
    """Inputs (channels, height, width) from 0 to 1: one channel where all images are gray, else red, green and blue.

    The folder holds one folder for each class, named like it, with images at any depth; or ``train`` and ``test``, with
    the classes in them: then those of ``test`` are the data set's own test rows, which are the test part where
    ``test_fraction`` is None. Images in ``val`` are such test rows where there is no ``test``; else they are rows like
    those of ``train``, for validation is drawn by the split seed. Classes are in the order of their names.

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
        files = tuple((file, file.stat().st_mtime_ns) for file in _images(folder))
        return _read(str(self.root), folder, files, self.size)


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


@lru_cache(maxsize=2)  # read once in a sweep
def _read(root: str, folder: Path, files: tuple[tuple[Path, int], ...], size: tuple[int, int] | None) -> Source:
    key = f"data.root={root}"
    inner = [file.relative_to(folder) for file, _ in files]
    tops = {path.parts[0] for path in inner}
    in_parts = "train" in tops
    if in_parts and (others := sorted(tops - set(PARTS))):
        raise ConfigError(f"{key}: holds train and also {others[0]}; give classes, or train and test with classes")
    test = max(tops, key=PARTS.index) if in_parts and len(tops) > 1 else None
    inner.sort(key=lambda path: path.parts[0] == test)  # the held-out ones at the end
    labels = [path.parts[in_parts] if len(path.parts) > 1 + in_parts else "" for path in inner]
    _check(key, inner, labels)
    names = sorted(set(labels))
    numbered = {name: number for number, name in enumerate(names)}
    pictures = [Picture(str(path), (folder / path).read_bytes) for path in inner]
    inputs = stacked(pictures, size, key)
    targets = torch.tensor([numbered[label] for label in labels])
    held_out = sum(path.parts[0] == test for path in inner)
    return Source(inputs, targets, classes=len(names), held_out=held_out, class_names=tuple(names))


def _check(key: str, images: Sequence[Path], labels: Sequence[str]) -> None:
    if not images:
        raise ConfigError(f"{key}: holds no images ({', '.join(SUFFIXES)}); give a folder with one folder a class")
    if "" in labels:
        raise ConfigError(f"{key}: {images[labels.index('')]} lies in no folder of a class; move it into one")
    if len(set(labels)) == 1:
        raise ConfigError(f"{key}: all {len(images)} images are of one class ({labels[0]}); give each a folder")
