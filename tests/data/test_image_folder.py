"""Folders of images: classes, parts, modes and errors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reglab.data import ImageFolder
from reglab.schema.errors import ConfigError
from tests.errors import config_error

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


def ready(root: Path, **options: Any) -> ImageFolder:
    data = ImageFolder(root=str(root), **{"seed": 0, "split_seed": 0, **options})
    data.setup()
    return data


def test_images_and_classes_equal_the_files(folder: Path) -> None:
    data = ready(folder)
    assert (data.name, data.kind, data.input_shape, data.outputs) == ("insects", "classification", (1, 6, 5), 2)
    assert data.class_names == CLASSES
    files = sorted(folder.rglob("*.png"))
    for part, rows in ((data.train, data.parts.train), (data.val, data.parts.val), (data.test, data.parts.test)):
        for image, target, row in zip(part.inputs, part.targets, rows, strict=True):
            number = int(files[row].stem)
            np.testing.assert_array_equal(image[0], pixels(number).astype(np.float32) / 255)
            assert int(target) == number % 2


def test_one_colour_image_gives_all_images_three_channels(folder: Path) -> None:
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


def test_images_are_scaled_to_the_size(folder: Path) -> None:
    write(folder / "ant" / "00.png", np.full((12, 20), 51, dtype=np.uint8))
    with config_error(f"data.root={folder}: 6 x 5 to 12 x 20 ... data.size=[6,5]"):
        ready(folder)
    data = ready(folder, size=[3, 4], val_fraction=0.0, test_fraction=0.0)
    assert data.input_shape == (1, 3, 4)
    torch.testing.assert_close(data.train.inputs[data.parts.train == 0], torch.full((1, 1, 3, 4), 0.2))


@pytest.mark.parametrize(("parts", "held_out"), [(("train", "test"), 4), (("train", "val"), 4), (("train",), 0)])
def test_a_predefined_test_part(tmp_path: Path, parts: tuple[str, ...], held_out: int) -> None:
    for number in range(20):
        write(tmp_path / parts[number >= 16 and len(parts) > 1] / CLASSES[number % 2] / f"{number}.png", pixels(number))
    data = ImageFolder(root=str(tmp_path), seed=0, split_seed=0, test_fraction=None)
    source = data.load()
    assert (len(source.targets), source.held_out) == (20, held_out)
    if held_out:
        data.setup()
        test_images = {pixels(number).astype(np.float32).tobytes() for number in range(16, 20)}
        assert {(image * 255).round().numpy().tobytes() for image in data.test.inputs} == test_images
        assert data.notes == ()
        (note,) = ready(tmp_path).notes
        assert note.startswith(f"the parts {parts[0]} and {parts[1]} are pooled and split again")
        assert f"data.test_fraction=null tests on {parts[1]}" in note


def test_with_a_test_part_val_is_part_of_train(tmp_path: Path) -> None:
    for number, part in enumerate(["train"] * 12 + ["val"] * 4 + ["test"] * 4):
        write(tmp_path / part / CLASSES[number % 2] / f"{number}.png", pixels(number))
    data = ready(tmp_path, test_fraction=None)
    assert (data.rows, data.test_rows) == (20, 4)
    (note,) = data.notes
    assert "train and val are pooled; validation" in note
    (note,) = ready(tmp_path).notes
    assert "train, val and test are pooled" in note


def test_a_changed_file_is_read_again(folder: Path) -> None:
    before = ready(folder).train.inputs
    for path in folder.rglob("*.png"):
        write(path, pixels(99))
    assert not torch.equal(ready(folder).train.inputs, before)


def refusal(root: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        ready(root)
    return str(refused.value)


def test_unusable_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refusal(empty).startswith(f"data.root={empty}: contains no images (.png, ")
    (folder / "ant" / "00.png").write_bytes(b"no image")
    assert "00.png cannot be read as an image (" in refusal(folder)
    (folder / "ant" / "00.png").unlink()
    write(folder / "stray.png", pixels(0))
    assert refusal(folder).startswith(f"data.root={folder}: stray.png is not in ")
    assert "all 10 images are of one class (inner)" in refusal_of_one_class(folder)
    write(folder / "train" / "ant" / "1.png", pixels(0))
    assert "contains train and also ant; give classes" in refusal(folder)


def refusal_of_one_class(folder: Path) -> str:
    (folder / "bee").rename(folder.parent / "inner")
    (folder.parent / "one").mkdir()
    (folder.parent / "inner").rename(folder.parent / "one" / "inner")
    return refusal(folder.parent / "one")


def test_hidden_files_and_folders_are_left_out(folder: Path) -> None:
    plain = ready(folder)
    for place in (".ipynb_checkpoints/00.png", "ant/.ipynb_checkpoints/00.png", "__MACOSX/ant/00.png", "ant/._00.png"):
        write(folder / place, pixels(50))
    for name in ("@eaDir", "ant/@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information", "bee/__MACOSX"):
        write(folder / name / "00.png", pixels(50))
    for name in (".DS_Store", "ant/.DS_Store", "ant/Thumbs.db", "ant/desktop.ini"):
        (folder / name).write_bytes(b"\0")
    (folder / ".hidden.png").write_bytes(b"no image")
    data = ready(folder)
    assert (data.class_names, data.rows, data.notes) == (CLASSES, 20, ())
    assert torch.equal(data.train.inputs, plain.train.inputs)


def test_classes_that_differ_in_case_alone_are_reported(folder: Path) -> None:
    for number in range(4):
        write(folder / "Ant" / f"{number}.png", pixels(60 + number))
    data = ready(folder)
    assert data.class_names == ("Ant", "ant", "bee")
    (note,) = data.notes
    assert "'Ant' and 'ant' differ only in case" in note


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    upright = pixels(0, (6, 5))
    for number in range(9):  # 0: no orientation; 1 to 8: EXIF orientations, all upright after their application
        turned = Image.fromarray(upright)
        back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(number)  # inverse transposes of Pillow
        exif = Image.Exif()
        if number:
            exif[0x0112] = number
        if back is not None:
            turned = turned.transpose(Image.Transpose(back))
        for name in CLASSES:
            (tmp_path / name).mkdir(exist_ok=True)
            turned.save(tmp_path / name / f"{number}.png", exif=exif)
    data = ready(tmp_path, val_fraction=0.0, test_fraction=0.0)
    assert data.input_shape == (1, 6, 5)
    assert (data.train.inputs == torch.from_numpy(upright.astype(np.float32) / 255)).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_modes_may_be_mixed(folder: Path, mode: str) -> None:
    file = folder / "ant" / ("00.png" if mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else "00.tif")
    (folder / "ant" / "00.png").unlink()
    white = Image.new("L", (5, 6), 255)
    if mode == "I;16":
        image = Image.fromarray(np.full((6, 5), 65535, dtype=np.uint16))
    else:
        image = white.convert("RGB").convert("P").convert("PA") if mode == "PA" else white.convert("RGB").convert(mode)
    image.save(file)
    data = ready(folder, val_fraction=0.0, test_fraction=0.0)
    torch.testing.assert_close(
        data.train.inputs[torch.from_numpy(data.parts.train == 0)], torch.ones(1, *data.input_shape), rtol=0, atol=0.01
    )


def large(path: Path, side: int) -> None:
    """Write a white image of side x side pixels as a small file, without its pixels in memory."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj()
    rows = b"".join(packer.compress(b"\0" + b"\xff" * -(-side // 8)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


@pytest.mark.slow
@pytest.mark.parametrize("side", [9_000, 13_000, 40_000])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(folder: Path, side: int) -> None:
    large(folder / "ant" / "00.png", side)
    message = refusal(folder)
    assert "00.png has" in message or "00.png" in message
    assert "more than 67,108,864" in message


def test_images_that_do_not_fit_in_memory_together_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / name).mkdir()
    large(tmp_path / "ant" / "0.png", 8_000)
    for number in range(1, 400):
        (tmp_path / CLASSES[number % 2] / f"{number}.png").hardlink_to(tmp_path / "ant" / "0.png")
    message = refusal(tmp_path)
    assert "400 rows of 64000000 inputs need 95.4 GiB" in message
    assert "as in data.size=[64,64]" in message


def test_other_files_in_the_folder_are_reported(folder: Path) -> None:
    (folder / "ant" / "notes.txt").write_text("seen in May")
    (folder / "bee" / "x.heic").write_bytes(b"\0")
    (folder / "cow").mkdir()
    copy = (folder / "ant" / "00.png").read_bytes()
    (folder / "ant" / "copy.png").write_bytes(copy)
    (folder / "bee" / "copy.png").write_bytes(copy)
    frames = [Image.fromarray(pixels(seed)) for seed in (0, 1)]
    frames[0].save(folder / "bee" / "moving.gif", save_all=True, append_images=frames[1:])
    data = ready(folder)
    first, left, empty, equal = data.notes
    assert "moving.gif" in first
    assert "2 files" in left
    assert "notes.txt" in left
    assert "x.heic" in left
    assert "cow" in empty
    assert equal.startswith("data.root: 2 images equal to another, 1 of ")
    assert str(folder) not in "".join(data.notes)


def test_linked_folders_are_classes_and_cyclic_links_are_followed_once(folder: Path, tmp_path: Path) -> None:
    (folder / "bee").rename(tmp_path / "elsewhere")
    (folder / "bee").symlink_to(tmp_path / "elsewhere")
    (folder / "ant" / "up").symlink_to(folder)
    data = ready(folder)
    assert (data.class_names, data.rows) == (CLASSES, 20)


def test_parts_may_have_upper_case_names(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / ("Train", "Test")[number >= 16] / CLASSES[number % 2] / f"{number}.PNG", pixels(number))
    source = ImageFolder(root=str(tmp_path), seed=0, split_seed=0).load()
    assert (source.held_out, source.class_names) == (4, CLASSES)


def test_folders_above_the_classes_are_reported(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path / ("2023", "2024")[number % 2] / CLASSES[number // 2 % 2] / f"{number}.png", pixels(number))
    (note,) = ready(tmp_path).notes
    assert "each contains the folders ant, bee" in note


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"", "is empty (0 bytes)"), (None, "cannot be read as an image"), (b"GIF8", "unknown format")],
)
def test_broken_files_are_named(folder: Path, content: bytes | None, part: str) -> None:
    file = folder / "ant" / "00.png"
    if content is None:  # cut off within the pixels
        write(file, pixels(0, (60, 50)))
        content = file.read_bytes()[:-200]
        for image_file in folder.rglob("*.png"):
            write(image_file, pixels(1, (60, 50)))
    file.write_bytes(content)
    message = refusal(folder)
    assert "00.png" in message
    assert part in message
