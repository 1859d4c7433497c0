"""Decode image files into one tensor."""

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

from reglab.data.files import check_fits_in_memory
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text import pluralize

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif")
_GRAY_MODES = ("1", "L", "LA")  # Pillow's modes of gray images; those of 16 bits begin with I
MOST_PIXELS = 2**26  # of one image: 8192 x 8192


@dataclass(frozen=True)
class ImageFile:
    """An encoded image.

    Args:
        name: name of the file, for messages.
        read: returns its bytes.
    """

    name: str
    read: Callable[[], bytes]


class DecodedImages(NamedTuple):
    """Images as one tensor.

    Attributes:
        tensor: float32 (n, channels, height, width) from 0 to 1.
        digests: digest of each file's bytes, to find equal files.
        notes: messages on the images for readers of the results.
    """

    tensor: Tensor
    digests: list[bytes]
    notes: list[str]


def decode_images(files: Sequence[ImageFile], size: tuple[int, int] | None, where: Setting) -> DecodedImages:
    """Return images as one tensor, with one channel if all are gray, else three.

    Images are rotated by their EXIF orientation; transparency is dropped. From an animation or a file with several
    pages the first image is taken. Headers are checked before the first image is decoded: an image above `MOST_PIXELS`
    is refused, and so are images that together need more than half of the machine's memory.

    Args:
        files: at least one.
        size: (height, width) to scale to; None: all images have one size.
        where: the setting that gave the files, for messages.

    Raises:
        ConfigError: a file that is not an image, too large an image, or several sizes without `size`.
    """
    headers = [_read_header(file, where) for file in files]
    shapes = {header.size for header in headers}
    if size is None and len(shapes) > 1:
        small, large = min(shapes), max(shapes)
        raise ConfigError(
            where,
            f"its images have {len(shapes)} sizes, from {small[0]} x {small[1]} to {large[0]} x "
            f"{large[1]} (height x width)",
            f"scale them to one, as in data.size=[{small[0]},{small[1]}]",
        )
    height, width = size or headers[0].size
    channels = 1 if all(header.gray for header in headers) else 3
    remedy = "scale the images down, as in data.size=[64,64]"
    check_fits_in_memory(len(files), channels * height * width, where, remedy)
    images = torch.empty(len(files), channels, height, width)
    for image, file in zip(images, files, strict=True):
        image.numpy()[:] = _decode(file, where, (channels, height, width))
    animated = [file.name for file, header in zip(files, headers, strict=True) if header.animated]
    notes = []
    if animated:
        several = f"{pluralize(len(animated), 'file')} with several images ({animated[0]})"
        notes.append(f"{where.key}: {several}: only the first image of each is used")
    return DecodedImages(images, [header.digest for header in headers], notes)


class _Header(NamedTuple):
    size: tuple[int, int]  # height, width, after the EXIF rotation
    gray: bool
    animated: bool
    digest: bytes


def _read_header(file: ImageFile, where: Setting) -> _Header:
    content = file.read()
    if not content:
        raise ConfigError(where, f"{file.name} is empty (0 bytes)", "remove it")
    with _image_errors(file, where), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MOST_PIXELS is below its limit
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise ConfigError(
                    where,
                    f"{file.name} has {height} x {width} pixels, more than {MOST_PIXELS:,}",
                    "scale it down or remove it",
                )
            # The method of the base class: that of PNG decodes the whole image, to find metadata behind the pixels.
            turned = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
            gray = image.mode in _GRAY_MODES or image.mode.startswith("I")
            animated = bool(getattr(image, "is_animated", False))
    digest = hashlib.sha256(content).digest()
    return _Header((width, height) if turned else (height, width), gray, animated, digest)


def _decode(file: ImageFile, where: Setting, shape: tuple[int, int, int]) -> np.ndarray:
    """Return one image, float32 (channels, height, width)."""
    with _image_errors(file, where), Image.open(io.BytesIO(file.read())) as image:
        if image.mode == "F":
            raise ValueError("its pixels are floating-point numbers")
        is_16_bit = image.mode.startswith("I")
        upright = ImageOps.exif_transpose(image)
        converted = upright.convert("F" if is_16_bit else "L" if image.mode in _GRAY_MODES else "RGB")
        if (converted.height, converted.width) != shape[1:]:
            converted = converted.resize((shape[2], shape[1]), Image.Resampling.BILINEAR)
        array = np.asarray(converted, dtype=np.float32) / (65535 if is_16_bit else 255)
        if is_16_bit and (array.min() < 0 or array.max() > 1):
            raise ValueError("its pixels are not in the range of 16 bits, 0 to 65535")
    return np.broadcast_to(array, shape) if array.ndim == 2 else array.transpose(2, 0, 1)


@contextmanager
def _image_errors(file: ImageFile, where: Setting) -> Iterator[None]:
    """Turn errors of Pillow into ConfigErrors."""
    try:
        yield
    except ConfigError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, Image.DecompressionBombError):
            raise ConfigError(
                where, f"{file.name} has more than {MOST_PIXELS:,} pixels", "scale it down or remove it"
            ) from error
        unknown = isinstance(error, UnidentifiedImageError)  # its message contains a memory address
        reason = "unknown format" if unknown else " ".join(str(error).split())
        raise ConfigError(where, f"{file.name} cannot be read as an image ({reason})", "remove it") from error


def equal_file_caveats(
    key: str, names: Sequence[str], labels: Sequence[Any], digests: Sequence[bytes]
) -> Iterator[str]:
    """Report equal files, which can be in two parts, and equal files of two classes.

    Args:
        key: key of the setting that gave the files, the first word of the caveat.
        names: names of the files.
        labels: their classes.
        digests: digests of their content.
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
        f"{key}: {pluralize(len(pairs), 'image')} equal to another{more} (such as {names[one]} and {names[other]}); "
        "the same image could be in training and test; remove the copies"
    )
