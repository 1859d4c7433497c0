"""Image files as one tensor."""

import hashlib
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from reglab.data.files import check_fits
from reglab.schema.errors import ConfigError
from reglab.wording import pluralize

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif")
GRAY = ("1", "L", "LA")  # Pillow's modes without colours; those of 16 bits begin with I
MOST_PIXELS = 2**26  # of one image: 8192 x 8192


@dataclass(frozen=True)
class Picture:
    """One image: what messages call it, and what gives the bytes of its file."""

    name: str
    content: Callable[[], bytes]


class Stacked(NamedTuple):
    """Images as one tensor.

    Attributes:
        images: float32 (n, channels, height, width) from 0 to 1.
        digests: of each file's bytes, so that equal files are found.
        remarks: sentences on what a reader of the results should know.
    """

    images: Tensor
    digests: list[bytes]
    remarks: list[str]


def stacked(pictures: Sequence[Picture], size: tuple[int, int] | None, key: str) -> Stacked:
    """Return the images float32 (n, channels, height, width) from 0 to 1; one channel where all are gray, else three.

    They are turned as their EXIF orientation says. Transparency is dropped. Of an animation or a file of several pages
    the first image counts. Before the first is decoded, the headers are checked: an image above `MOST_PIXELS` (2^26)
    is refused, and so are images that together need more than half of the machine's memory.

    Args:
        pictures: at least one.
        size: (height, width) to scale to; None: they have one size.
        key: that names them, for messages, as in ``data.root=FOLDER``.

    Raises:
        ConfigError: a file that is no image, too large an image, or several sizes without `size`.
    """
    headers = [_header(picture, key) for picture in pictures]
    shapes = {header.size for header in headers}
    if size is None and len(shapes) > 1:
        small, large = min(shapes), max(shapes)
        raise ConfigError(
            key,
            f"its images have {len(shapes)} sizes, from {small[0]} x {small[1]} to {large[0]} x "
            f"{large[1]} (height x width)",
            f"scale them to one, as in data.size=[{small[0]},{small[1]}]",
        )
    height, width = size or headers[0].size
    channels = 1 if all(header.gray for header in headers) else 3
    check_fits(len(pictures), channels * height * width, key, "scale the images down, as in data.size=[64,64]")
    images = torch.empty(len(pictures), channels, height, width)
    for image, picture in zip(images, pictures, strict=True):
        image.numpy()[:] = _array(picture, key, (channels, height, width))
    animated = [picture.name for picture, header in zip(pictures, headers, strict=True) if header.animated]
    remarks = []
    if animated:
        what = f"{pluralize(len(animated), 'file')} with several images ({animated[0]})"
        remarks.append(f"{key.partition('=')[0]}: of {what} the first image counts")
    return Stacked(images, [header.digest for header in headers], remarks)


class _Header(NamedTuple):
    size: tuple[int, int]  # height, width, as shown
    gray: bool
    animated: bool
    digest: bytes


def _header(picture: Picture, key: str) -> _Header:
    content = picture.content()
    if not content:
        raise ConfigError(key, f"{picture.name} is empty (0 bytes)", "remove it")
    with _readable(picture, key), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MOST_PIXELS is below its limit
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise ConfigError(
                    key,
                    f"{picture.name} has {height} x {width} pixels, more than {MOST_PIXELS:,}",
                    "scale it down or remove it",
                )
            # Of the base class: that of PNG decodes the whole image, to look behind the pixels too.
            turned = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
            gray = image.mode in GRAY or image.mode.startswith("I")
            animated = bool(getattr(image, "is_animated", False))
    digest = hashlib.sha256(content).digest()
    return _Header((width, height) if turned else (height, width), gray, animated, digest)


def _array(picture: Picture, key: str, shape: tuple[int, int, int]) -> np.ndarray:
    """One image float32 of the shape (channels, height, width)."""
    with _readable(picture, key), Image.open(io.BytesIO(picture.content())) as image:
        if image.mode == "F":
            raise ValueError("its pixels are floating-point numbers")
        deep = image.mode.startswith("I")
        upright = ImageOps.exif_transpose(image)
        shown = upright.convert("F" if deep else "L" if image.mode in GRAY else "RGB")
        if (shown.height, shown.width) != shape[1:]:
            shown = shown.resize((shape[2], shape[1]), Image.Resampling.BILINEAR)
        array = np.asarray(shown, dtype=np.float32) / (65535 if deep else 255)
        if deep and (array.min() < 0 or array.max() > 1):
            raise ValueError("its pixels are not in the range of 16 bits, 0 to 65535")
    return np.broadcast_to(array, shape) if array.ndim == 2 else array.transpose(2, 0, 1)


@contextmanager
def _readable(picture: Picture, key: str) -> Iterator[None]:
    try:
        yield
    except ConfigError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, Image.DecompressionBombError):
            raise ConfigError(
                key, f"{picture.name} has more than {MOST_PIXELS:,} pixels", "scale it down or remove it"
            ) from error
        unknown = isinstance(error, UnidentifiedImageError)  # whose message names an object in memory
        reason = "of no known format" if unknown else " ".join(str(error).split())
        raise ConfigError(key, f"{picture.name} is no image that can be read ({reason})", "remove it") from error


def equal_files(key: str, names: Sequence[str], labels: Sequence[Any], digests: Sequence[bytes]) -> Iterator[str]:
    """Report equal files, which can fall in two parts, and equal files of two classes.

    Args:
        key: begins a sentence.
        names: of the files.
        labels: their classes.
        digests: of their content.
    """
    first: dict[bytes, int] = {}
    pairs = [(first.setdefault(digest, row), row) for row, digest in enumerate(digests)]
    pairs = [(one, other) for one, other in pairs if one != other]
    if not pairs:
        return
    unlike = [(one, other) for one, other in pairs if labels[one] != labels[other]]
    one, other = (unlike or pairs)[0]
    more = f", {len(unlike)} of them in another class" if unlike else ""
    yield (
        f"{key}: {pluralize(len(pairs), 'image')} equal to another{more} (such as {names[one]} and "
        f"{names[other]}); the "
        "same image can be trained on and tested, so remove the copies"
    )
