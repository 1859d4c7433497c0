"""Folders of images, written by hand and read back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reglab.data import ImageFolder
from reglab.errors import ConfigError

CLASSES = ("ant", "bee")


def pixels(seed: int, shape: tuple[int, ...] = (6, 5)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(20):
        write(tmp_path / "insects" / CLASSES[number % 2] / f"{number:02}.png", pixels(number))
    return tmp_path / "insects"


def ready(root: Path, **given: Any) -> ImageFolder:
    data = ImageFolder(root=str(root), **{"seed": 0, "split_seed": 0, **given})
    data.setup()
    return data


def test_images_and_classes_are_the_files(folder: Path) -> None:
    data = ready(folder)
    assert (data.name, data.kind, data.input_shape, data.outputs) == ("insects", "classification", (1, 6, 5), 2)
    assert data.class_names == CLASSES
    files = sorted(folder.rglob("*.png"))
    for part, rows in ((data.train, data.parts.train), (data.val, data.parts.val), (data.test, data.parts.test)):
        for image, target, row in zip(part.inputs, part.targets, rows, strict=True):
            number = int(files[row].stem)
            np.testing.assert_array_equal(image[0], pixels(number).astype(np.float32) / 255)
            assert int(target) == number % 2


def test_one_image_with_colours_makes_all_of_three_channels(folder: Path) -> None:
    write(folder / "ant" / "00.png", pixels(0, (6, 5, 3)))
    data = ready(folder, val_fraction=0.0, test_fraction=0.0)
    assert data.input_shape == (3, 6, 5)
    images = data.train.inputs[torch.from_numpy(data.parts.train).argsort()]
    np.testing.assert_array_equal(images[0], pixels(0, (6, 5, 3)).transpose(2, 0, 1).astype(np.float32) / 255)
    assert (images[1:] == images[1:, :1]).all()


def test_sixteen_bits_are_kept(folder: Path) -> None:
    write(folder / "ant" / "00.png", np.full((6, 5), 13_107, dtype=np.uint16))
    data = ready(folder, val_fraction=0.0, test_fraction=0.0)
    torch.testing.assert_close(data.train.inputs[data.parts.train == 0], torch.full((1, 1, 6, 5), 0.2))


def test_images_are_scaled_where_asked(folder: Path) -> None:
    write(folder / "ant" / "00.png", np.full((12, 20), 51, dtype=np.uint8))
    with pytest.raises(ConfigError, match=r"2 sizes, from 6 x 5 to 12 x 20 .*as in data.size=\[6,5\]"):
        ready(folder)
    data = ready(folder, size=[3, 4], val_fraction=0.0, test_fraction=0.0)
    assert data.input_shape == (1, 3, 4)
    torch.testing.assert_close(data.train.inputs[data.parts.train == 0], torch.full((1, 1, 3, 4), 0.2))


@pytest.mark.parametrize(("parts", "held_out"), [(("train", "test"), 4), (("train", "val"), 4), (("train",), 0)])
def test_a_test_part_of_its_own(tmp_path: Path, parts: tuple[str, ...], held_out: int) -> None:
    for number in range(20):
        write(tmp_path / parts[number >= 16 and len(parts) > 1] / CLASSES[number % 2] / f"{number}.png", pixels(number))
    data = ImageFolder(root=str(tmp_path), seed=0, split_seed=0, test_fraction=None)
    source = data.load()
    assert (len(source.targets), source.held_out) == (20, held_out)
    if held_out:
        data.setup()
        own = {pixels(number).astype(np.float32).tobytes() for number in range(16, 20)}
        assert {(image * 255).round().numpy().tobytes() for image in data.test.inputs} == own


def test_beside_a_test_part_val_is_like_train(tmp_path: Path) -> None:
    for number, part in enumerate(["train"] * 12 + ["val"] * 4 + ["test"] * 4):
        write(tmp_path / part / CLASSES[number % 2] / f"{number}.png", pixels(number))
    source = ImageFolder(root=str(tmp_path), seed=0, split_seed=0).load()
    assert (len(source.targets), source.held_out) == (20, 4)


def test_a_change_of_a_file_is_seen(folder: Path) -> None:
    before = ready(folder).train.inputs
    for path in folder.rglob("*.png"):
        write(path, pixels(99))
    assert not torch.equal(ready(folder).train.inputs, before)


def refusal(root: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        ready(root)
    return str(refused.value)


def test_what_cannot_be_read_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refusal(empty).startswith(f"data.root={empty}: holds no images (.png, ")
    (folder / "ant" / "00.png").write_bytes(b"no image")
    assert "00.png is no image that can be read (of no known format); remove it" in refusal(folder)
    (folder / "ant" / "00.png").unlink()
    write(folder / "stray.png", pixels(0))
    assert refusal(folder) == f"data.root={folder}: stray.png lies in no folder of a class; move it into one"
    assert "all 10 images are of one class (inner)" in refusal_of_one_class(folder)
    write(folder / "train" / "ant" / "1.png", pixels(0))
    assert "holds train and also ant; give classes" in refusal(folder)


def refusal_of_one_class(folder: Path) -> str:
    (folder / "bee").rename(folder.parent / "inner")
    (folder.parent / "one").mkdir()
    (folder.parent / "inner").rename(folder.parent / "one" / "inner")
    return refusal(folder.parent / "one")
