"""Embeddings of image patches, signal positions and table features as tokens of a Transformer encoder."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reglab.schema.errors import ConfigError, Setting

POSITION_STD = 0.02  # initial standard deviation of position embeddings, as in the paper on images


class _PositionedTokens(nn.Module):
    """Base class of modules that return tokens (rows, positions, width), with learned position embeddings added."""

    unit_axes: ClassVar = {"positions": 0}  # a row is the vector of a position, as in an embedding

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(POSITION_STD * torch.randn(positions, width))


class ImageTokens(_PositionedTokens):
    """One token for each square patch of images (rows, channels, height, width), in row-major order.

    Args:
        input_shape: (channels, height, width).
        width: width of a token.
        patch_size: side of a patch in pixels.

    Raises:
        ConfigError: a side of the images is not a multiple of the patch size.
    """

    def __init__(self, input_shape: tuple[int, ...], width: int, patch_size: int) -> None:
        channels, *sides = input_shape
        if any(side % patch_size for side in sides):
            raise ConfigError(
                Setting("model.patch_size", patch_size),
                f"does not divide images of {sides[0]} x {sides[1]} into patches",
                "choose a size that divides both sides",
            )
        super().__init__(sides[0] // patch_size * (sides[1] // patch_size), width)
        self.patches = nn.Conv2d(channels, width, patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens (rows, patches, width) of images (rows, channels, height, width)."""
        return self.patches(images).flatten(2).transpose(1, 2) + self.positions


class SignalTokens(_PositionedTokens):
    """One token for each position of signals (rows, channels, length).

    Args:
        input_shape: (channels, length); shorter signals are supported.
        width: width of a token.
    """

    def __init__(self, input_shape: tuple[int, ...], width: int) -> None:
        super().__init__(input_shape[1], width)
        self.places = nn.Linear(input_shape[0], width)

    def forward(self, signals: Tensor) -> Tensor:
        """Return tokens (rows, length, width) of signals (rows, channels, length)."""
        tokens: Tensor = self.places(signals.transpose(1, 2)) + self.positions[: signals.shape[-1]]
        return tokens


class FeatureTokens(_PositionedTokens):
    """One token for each feature of (rows, features): its value times a learned direction, plus a learned position.

    Args:
        input_shape: (features,).
        width: width of a token.
    """

    unit_axes: ClassVar = {"positions": 0, "directions": 0}

    def __init__(self, input_shape: tuple[int, ...], width: int) -> None:
        super().__init__(input_shape[0], width)
        self.directions = nn.Parameter(torch.randn(input_shape[0], width) / width**0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Return tokens (rows, features, width) of features (rows, features)."""
        return features.unsqueeze(-1) * self.directions + self.positions
