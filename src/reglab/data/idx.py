"""A user's images in the file format of MNIST: MNIST, Fashion-MNIST, EMNIST, KMNIST."""

import gzip
import math
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from reglab.data.base import TensorData
from reglab.data.files import check_regular, memory_bytes, stem
from reglab.data.source import Source
from reglab.schema.constraints import Constraints, Nullable
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text_constraints import PATH

_UNSIGNED_BYTES = 0x08  # type of the numbers in the files
_KINDS = {"images": "idx3", "labels": "idx1"}


class Idx(TensorData):
    """A user's images in the file format of MNIST: MNIST, Fashion-MNIST, EMNIST, KMNIST.

    The folder contains ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, and may contain predefined test
    rows, ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, which are the test if ``test_fraction`` is None.
    Each file may be packed (``.gz``), its name may have a prefix (``emnist-digits-train-images-idx3-ubyte``), and a dot
    before idx. Format: LeCun, Cortes and Burges, The MNIST Database of Handwritten Digits.

    Args:
        root: the folder.
        name: name of the data set; None: the folder's name.
        common: see `TensorData`.
    """

    inputs_description: ClassVar = (
        "Inputs (1, height, width) from 0 to 1; classes are the labels that occur, in their order."
    )

    kind = "classification"
    dims = 3

    constraints: ClassVar[Constraints] = {"root": Nullable(PATH)}

    def __init__(self, *, root: str | None = None, name: str | None = None, **common: Any) -> None:
        super().__init__(name=name or stem(root or ""), **common)
        self.root = root

    def load(self) -> Source:
        """Return all rows, those of the predefined test at the end."""
        assert self.root is not None
        folder = Path(self.root).expanduser()
        files = {path: path.stat().st_mtime_ns for path in sorted(folder.iterdir())} if folder.is_dir() else {}
        return _read(str(folder), tuple(files.items()))


@lru_cache(maxsize=2)  # read once in a sweep
def _read(root: str, files: tuple[tuple[Path, int], ...]) -> Source:
    paths = [path for path, _ in files]
    images, labels = _part(root, paths, "train")
    held_out = 0
    if any("t10k" in path.name or "test" in path.name for path in paths):
        test_images, test_labels = _part(root, paths, "t10k")
        if test_images.shape[1:] != images.shape[1:]:
            raise ConfigError(
                Setting("data.root", root),
                f"training images have the shape {images.shape[1:]} and test images {test_images.shape[1:]}",
                "give images of one shape",
            )
        images, labels = np.concatenate([images, test_images]), np.concatenate([labels, test_labels])
        held_out = len(test_labels)
    parts = ("train", "test") if held_out else ()
    classes, numbered = np.unique(labels, return_inverse=True)
    inputs = torch.from_numpy(images).float().div_(255).unsqueeze(1)
    class_names = () if np.array_equal(classes, np.arange(len(classes))) else tuple(str(label) for label in classes)
    targets = torch.from_numpy(numbered.astype(np.int64))
    return Source(inputs, targets, classes=len(classes), held_out=held_out, parts=parts, class_names=class_names)


def _part(root: str, files: list[Path], part: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = (_array(root, files, part, kind) for kind in _KINDS)
    if len(images) != len(labels):
        raise ConfigError(
            Setting("data.root", root),
            f"has {len(images)} {part} images and {len(labels)} labels",
            "give as many labels as images",
        )
    return images, labels


def _array(root: str, files: list[Path], part: str, kind: str) -> np.ndarray:
    words = ("t10k", "test") if part == "t10k" else (part,)
    suffixes = tuple(f"{kind}{mark}{_KINDS[kind]}-ubyte{archive}" for mark in "-." for archive in ("", ".gz"))
    matching = [
        path
        for path in files
        if path.name.endswith(suffixes) and any(word in path.name for word in words) and not path.name.startswith(".")
    ]
    if not matching:
        raise ConfigError(
            Setting("data.root", root), f"has no file {part}-{kind}-{_KINDS[kind]}-ubyte(.gz)", "give its folder"
        )
    if len({path.name.removesuffix(".gz") for path in matching}) > 1:
        raise ConfigError(
            Setting("data.root", root), f"has both {matching[0].name} and {matching[1].name}", "remove one of them"
        )
    check_regular(matching[0], Setting("data.root", root), matching[0].name)
    try:
        return parse_idx(_content(matching[0]), int(_KINDS[kind][-1]))
    except (ValueError, OSError, EOFError) as error:
        raise ConfigError(
            Setting("data.root", root),
            f"{matching[0].name} is not in MNIST's format ({error})",
            "give a file of unsigned bytes, as it was published",
        ) from error


def _content(path: Path) -> bytes:
    """Return at most one byte more than the header declares: a packed file may unpack to gigabytes."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        header = file.read(4)
        sizes = file.read(4 * header[3]) if len(header) == 4 else b""
        declared = math.prod(struct.unpack(f">{len(sizes) // 4}I", sizes[: len(sizes) // 4 * 4]))
        return header + sizes + file.read(min(declared, memory_bytes()) + 1)


def parse_idx(content: bytes, dims: int) -> np.ndarray:
    """Return the array of an IDX file, uint8.

    Args:
        content: two zero bytes, the type, the number of dimensions, each of them as a big-endian uint32, the numbers.
        dims: expected number of dimensions.

    Raises:
        ValueError: another format, type or number of dimensions, or too few or many bytes.

    Example:
        >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 7]), dims=1)
        array([5, 7], dtype=uint8)
    """
    if len(content) < 4 + 4 * dims or content[:2] != b"\0\0":
        raise ValueError("it does not begin with the magic number")
    if content[2] != _UNSIGNED_BYTES or content[3] != dims:
        raise ValueError(f"type {content[2]:#04x} in {content[3]} dimensions instead of unsigned bytes in {dims}")
    shape = struct.unpack(f">{dims}I", content[4 : 4 + 4 * dims])
    if len(content) - 4 - 4 * dims != math.prod(shape):
        raise ValueError(f"{len(content) - 4 - 4 * dims} bytes for the shape {shape}")
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dims).reshape(shape).copy()
