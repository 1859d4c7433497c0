"""Small convolutional network of residual blocks for images or 1-D signals."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from reglab.models import layers
from reglab.models.convolutions import CONV, POOL, check_input_shape, flattened_features
from reglab.schema.constraints import Constraints
from reglab.schema.task_kinds import NUMERIC_INPUTS


class Residual(nn.Module):
    """Residual block activation(shortcut(x) + branch(x)); the shortcut is the identity for equal channels.

    He, Zhang, Ren and Sun 2016, "Deep Residual Learning for Image Recognition".

    Args:
        dims: 1 for (batch, channels, length), 2 for (batch, channels, height, width).
        inputs: number of input channels.
        channels: number of output channels.
        kernel_size: odd width of the kernels.
        activation: a name in `layers.ACTIVATIONS`.
        norm: ``none``, ``batch`` or ``layer``, after each convolution of the branch.
    """

    def __init__(self, dims: int, inputs: int, channels: int, kernel_size: int, activation: str, norm: str) -> None:
        super().__init__()
        keys = {"kernel_size": kernel_size, "padding": kernel_size // 2}
        chain: list[tuple[str, nn.Module]] = [("conv_0", CONV[dims](inputs, channels, **keys))]
        chain += [("norm_0", layer) for layer in layers.norm(norm, channels, dims)]
        chain += [("activation", layers.activation(activation)), ("conv_1", CONV[dims](channels, channels, **keys))]
        chain += [("norm_1", layer) for layer in layers.norm(norm, channels, dims)]
        self.branch = nn.Sequential(OrderedDict(chain))
        self.shortcut = nn.Identity() if inputs == channels else CONV[dims](inputs, channels, kernel_size=1)
        self.activation = layers.activation(activation)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs (batch, channels, ...) of inputs (batch, inputs, ...), with the same sides."""
        total: Tensor = self.activation(self.shortcut(inputs) + self.branch(inputs))
        return total


class ResidualCNN(nn.Sequential):
    """Stages of residual blocks, each followed by max-pooling by 2, then a linear layer.

    Args:
        input_shape: (channels, height, width) or (channels, length).
        outputs: number of classes, or 1 for regression, whose output has the shape (batch,).
        channels: output channels of each stage.
        blocks: residual blocks per stage.
        kernel_size: odd width of the kernels.
        activation: a name in `layers.ACTIVATIONS`.
        norm: ``none``, ``batch`` or ``layer``.

    Raises:
        ConfigError: see `convolutions.check_input_shape`.
    """

    requires_task: ClassVar = (NUMERIC_INPUTS,)
    provides: ClassVar = {"activations": "channels", "maps": "channels", "branches": "blocks"}
    input_dims: ClassVar = (2, 3)
    constraints: ClassVar[Constraints] = {
        "channels": layers.CHANNELS,
        "blocks": layers.DEPTH,
        "kernel_size": layers.KERNEL_SIZE,
        "activation": layers.ACTIVATION,
        "norm": layers.NORM,
    }

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        channels: Sequence[int] = (16, 32),
        blocks: int = 2,
        kernel_size: int = 3,
        activation: str = "relu",
        norm: str = "batch",
    ) -> None:
        dims = check_input_shape("residual_cnn", input_shape, channels, kernel_size)
        chain: list[tuple[str, nn.Module]] = []
        features = input_shape[0]
        for i, size in enumerate(channels):
            for j in range(blocks):
                chain.append((f"block_{i}_{j}", Residual(dims, features, size, kernel_size, activation, norm)))
                features = size
            chain.append((f"pool_{i}", POOL[dims](2)))
        chain.append(("flatten", nn.Flatten()))
        super().__init__(OrderedDict(chain + layers.output(flattened_features(input_shape, channels), outputs)))
