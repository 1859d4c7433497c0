"""Files in MNIST's IDX format."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reglab.data import Idx
from reglab.data.idx import parse_idx
from reglab.schema.errors import ConfigError
from tests.errors import check_error, config_error

NO_FILE = "train-images-idx3-ubyte is not in MNIST's format ("


def idx(array: np.ndarray) -> bytes:
    """Return an array in the IDX format."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def images_and_labels(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (rows, 5, 4)), np.arange(rows) % 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "little"
    root.mkdir()
    for part, rows in (("train", 60), ("t10k", 12)):
        images, labels = images_and_labels(rows, rows)
        (root / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (root / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return root


def ready(root: Path, **axes: Any) -> Idx:
    data = Idx(root=str(root), **{"seed": 0, "split_seed": 0, **axes})
    data.setup()
    return data


def test_images_and_labels_equal_the_files(folder: Path) -> None:
    data = ready(folder, test_fraction=None)
    assert (data.name, data.kind, data.input_shape, data.outputs) == ("little", "classification", (1, 5, 4), 3)
    images, labels = images_and_labels(60, 60)
    for part, rows in ((data.train, data.parts.train), (data.val, data.parts.val)):
        assert torch.equal(part.inputs[:, 0], torch.from_numpy(images[rows]).float() / 255)
        assert torch.equal(part.targets, torch.from_numpy(labels[rows]))
    expected, expected_labels = images_and_labels(12, 12)
    order = data.parts.test - 60
    assert sorted(order.tolist()) == list(range(12))
    assert torch.equal(data.test.inputs[:, 0], torch.from_numpy(expected[order]).float() / 255)
    assert torch.equal(data.test.targets, torch.from_numpy(expected_labels[order]))


def test_all_rows_are_split_with_a_test_fraction(folder: Path) -> None:
    data = ready(folder)
    assert (data.train_rows, data.val_rows, data.test_rows) == (44, 14, 14)


def test_labels_need_not_begin_at_zero(folder: Path) -> None:
    for part, rows in (("train", 60), ("t10k", 12)):
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(images_and_labels(rows, 0)[1] + 5)))
    data = ready(folder)
    assert (data.outputs, data.class_names) == (3, ("5", "6", "7"))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("train-images-idx3-ubyte", None, "no file train-images-idx3-ubyte(.gz)"),
        ("train-images-idx3-ubyte", b"PNG", f"{NO_FILE}it does not begin"),
        (
            "train-images-idx3-ubyte",
            idx(np.zeros((60, 20))),
            f"{NO_FILE}type",
        ),
        (
            "train-images-idx3-ubyte",
            idx(np.zeros((60, 5, 4)))[:-1],
            NO_FILE,
        ),
        ("train-images-idx3-ubyte", idx(np.zeros((59, 5, 4))), "has 59 train images and 60 labels"),
        (
            "t10k-images-idx3-ubyte",
            idx(np.zeros((12, 4, 4))),
            "shape (5, 4) ... test images (4, 4)",
        ),
        ("train-labels-idx1-ubyte.gz", b"no gzip", "train-labels-idx1-ubyte.gz ... format ("),
    ],
    ids=["missing", "png", "dimensions", "cut", "fewer", "shapes", "gzip"],
)
def test_unusable_files_are_refused(folder: Path, name: str, content: bytes | None, problem: str) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        ready(folder)
    check_error(refused.value, f"data.root={folder}: {problem}")


def test_another_type_of_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="type 0x0d in 1 dimensions"):
        parse_idx(struct.pack(">HBBI", 0, 0x0D, 1, 2) + bytes(8), 1)


def test_files_of_two_data_sets_are_refused_and_hidden_files_ignored(tmp_path):
    for name in ("emnist-digits", "emnist-letters"):
        for kind in ("images-idx3", "labels-idx1"):
            (tmp_path / f"{name}-train-{kind}-ubyte").touch()
    with config_error(f"data.root={tmp_path}: both emnist-digits- ... emnist-letters-"):
        Idx(root=str(tmp_path), seed=0, split_seed=0).setup()
    for file in tmp_path.glob("emnist-letters*"):
        file.rename(tmp_path / f"._{file.name}")
    with config_error(f"data.root={tmp_path}: emnist-digits-train-images-idx3-ubyte ... format"):
        Idx(root=str(tmp_path), seed=0, split_seed=0).setup()
