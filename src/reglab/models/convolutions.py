"""Layers of convolutional networks by number of dimensions, and checks of input shapes."""

from collections.abc import Sequence

from torch import nn

from reglab.schema.errors import ConfigError, Setting

CONV: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d}
POOL: dict[int, type[nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}


def check_input_shape(model: str, input_shape: tuple[int, ...], channels: Sequence[int], kernel_size: int = 1) -> int:
    """Return the number of dimensions of the convolutions: 1 for (channels, length), 2 for (channels, height, width).

    Raises:
        ConfigError: the examples are neither images nor signals, the kernel is larger than needed to cover the input
            from any position, or a side is 0 after one halving for each of `channels`.
    """
    dims = len(input_shape) - 1
    if dims not in CONV:
        raise ConfigError(
            Setting("model", model),
            f"needs images or 1-D signals, and this data's examples have the shape {input_shape}",
            "use model=mlp",
        )
    side = min(input_shape[1:])
    if side >> len(channels) == 0:
        raise ConfigError(
            Setting("model.channels", list(channels)),
            f"{len(channels)} halvings reduce a side of {side} to 0",
            "use fewer blocks",
        )
    largest_kernel = 2 * max(input_shape[1:]) - 1
    if kernel_size > largest_kernel:
        raise ConfigError(
            Setting("model.kernel_size", kernel_size),
            f"is too large: positions in examples of the shape {input_shape} are at most {largest_kernel // 2} apart",
            f"at most {largest_kernel}",
        )
    return dims


def flattened_features(input_shape: tuple[int, ...], channels: Sequence[int]) -> int:
    """Return the number of features after halving each side, rounded down, once for each of `channels`."""
    features = channels[-1]
    for side in input_shape[1:]:
        features *= side >> len(channels)
    return features
