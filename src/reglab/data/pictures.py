"""Image files as one tensor."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reglab.errors import ConfigError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif")
GRAY = ("1", "L", "LA")  # Pillow's modes without colours; those of 16 bits begin with I


@dataclass(frozen=True)
class Picture:
    """One image: what messages call it, and what gives the bytes of its file."""

    name: str
    content: Callable[[], bytes]


def stacked(pictures: Sequence[Picture], size: tuple[int, int] | None, key: str) -> Tensor:
    """The images float32 (n, channels, height, width) from 0 to 1; one channel where all are gray, else three.

    What is transparent is shown as it is without transparency. Of a moving image the first one counts.

    Args:
        pictures: at least one.
        size: (height, width) to scale to; None: they have one size.
        key: that names them, for messages, as in ``data.root=FOLDER``.

    Raises:
        ConfigError: a file that is no image, or several sizes without `size`.
    """
    arrays = [_array(picture, size, key) for picture in pictures]
    shapes = {array.shape[:2] for array in arrays}
    if len(shapes) > 1:
        small, large = min(shapes), max(shapes)
        raise ConfigError(
            f"{key}: its images have {len(shapes)} sizes, from {small[0]} x {small[1]} to {large[0]} x {large[1]} "
            f"(height x width); scale them to one, as in data.size=[{small[0]},{small[1]}]"
        )
    if any(array.ndim == 3 for array in arrays):
        arrays = [array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2) for array in arrays]
    else:
        arrays = [array[..., None] for array in arrays]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


def _array(picture: Picture, size: tuple[int, int] | None, key: str) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(picture.content())) as image:
            if image.mode == "F":
                raise ValueError("its pixels are floating-point numbers")
            deep = image.mode.startswith("I")
            shown: Image.Image = image.convert("F" if deep else "L" if image.mode in GRAY else "RGB")
        if size is not None and (shown.height, shown.width) != size:
            shown = shown.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return np.asarray(shown, dtype=np.float32) / (65535 if deep else 255)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        unknown = isinstance(error, UnidentifiedImageError)  # whose message names an object in memory
        reason = "of no known format" if unknown else " ".join(str(error).split())
        raise ConfigError(f"{key}: {picture.name} is no image that can be read ({reason}); remove it") from error
