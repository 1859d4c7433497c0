"""A small convolutional network for images or for 1-D signals, chosen by the data's shape."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from reglab.errors import ConfigError
from reglab.models import layers

_CONV: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d}
_POOL: dict[int, type[nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}


class CNN(nn.Sequential):
    """Blocks of convolution ("same" padding), normalization, activation and max-pooling by 2, then a linear map.

    Args:
        input_shape: (channels, height, width) or (channels, length).
        outputs: number of classes, or 1 for regression, whose output has the shape (batch,).
        channels: output channels of each block.
        kernel_size: odd width of the kernels.
        activation: a name in `layers.ACTIVATIONS`.
        norm: ``none``, ``batch`` or ``layer``, before the activation.

    Raises:
        ConfigError: the data has no channels, or a side becomes empty by the pooling.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        channels: Sequence[int] = (16, 32),
        kernel_size: int = 3,
        activation: str = "relu",
        norm: str = "none",
    ) -> None:
        dims = len(input_shape) - 1
        if dims not in _CONV:
            raise ConfigError(
                f"model=cnn: needs images or 1-D signals, and this data's examples have the shape {input_shape}; "
                "use model=mlp"
            )
        if min(input_shape[1:]) >> len(channels) == 0:
            raise ConfigError(
                f"model.channels={list(channels)}: {len(channels)} halvings leave nothing of a side of "
                f"{min(input_shape[1:])}; name fewer blocks"
            )
        chain: list[tuple[str, nn.Module]] = []
        features = input_shape[0]
        for i, size in enumerate(channels):
            chain.append((f"conv_{i}", _CONV[dims](features, size, kernel_size, padding=kernel_size // 2)))
            chain += [(f"norm_{i}", layer) for layer in layers.norm(norm, size, dims)]
            chain += [(f"activation_{i}", layers.activation(activation)), (f"pool_{i}", _POOL[dims](2))]
            features = size
        for side in input_shape[1:]:
            features *= side >> len(channels)
        chain.append(("flatten", nn.Flatten()))
        super().__init__(OrderedDict(chain + layers.output(features, outputs)))
