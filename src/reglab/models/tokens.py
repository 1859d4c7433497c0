"""Tokens that a Transformer encoder reads: of patches, of places, of features."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.schema.errors import ConfigError, Setting

SPREAD = 0.02  # standard deviation of positions at the start, as in the paper on images


class _Placed(nn.Module):
    """Tokens (rows, places, width) with a learned position added to each."""

    unit_axes: ClassVar = {"positions": 0}  # a row is the vector of a place, as in an embedding

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(SPREAD * torch.randn(places, width))


class ImageTokens(_Placed):
    """A token for each square patch of (rows, channels, height, width), row by row.

    Args:
        input_shape: (channels, height, width).
        width: of a token.
        patch_size: side of a patch in pixels.

    Raises:
        ConfigError: a side of the images is no multiple of the patch.
    """

    def __init__(self, input_shape: tuple[int, ...], width: int, patch_size: int) -> None:
        channels, *sides = input_shape
        if any(side % patch_size for side in sides):
            raise ConfigError(
                Setting("model.patch_size", patch_size),
                f"images of {sides[0]} x {sides[1]} cannot be cut into such patches",
                "choose a size that divides both sides",
            )
        super().__init__(sides[0] // patch_size * (sides[1] // patch_size), width)
        self.patches = nn.Conv2d(channels, width, patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """(rows, channels, height, width) to (rows, patches, width)."""
        return self.patches(images).flatten(2).transpose(1, 2) + self.positions


class SignalTokens(_Placed):
    """A token for each place of (rows, channels, length).

    Args:
        input_shape: (channels, length); shorter signals can be read, too.
        width: of a token.
    """

    def __init__(self, input_shape: tuple[int, ...], width: int) -> None:
        super().__init__(input_shape[1], width)
        self.places = nn.Linear(input_shape[0], width)

    def forward(self, signals: Tensor) -> Tensor:
        """(rows, channels, length) to (rows, length, width)."""
        said: Tensor = self.places(signals.transpose(1, 2)) + self.positions[: signals.shape[-1]]
        return said


class FeatureTokens(_Placed):
    """A token for each feature of (rows, features): its value times a direction of its own, plus its position.

    Args:
        input_shape: (features,).
        width: of a token.
    """

    unit_axes: ClassVar = {"positions": 0, "directions": 0}

    def __init__(self, input_shape: tuple[int, ...], width: int) -> None:
        super().__init__(input_shape[0], width)
        self.directions = nn.Parameter(torch.randn(input_shape[0], width) / width**0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(rows, features) to (rows, features, width)."""
        return features.unsqueeze(-1) * self.directions + self.positions
