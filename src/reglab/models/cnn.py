"""Small convolutional network for images or 1-D signals, depending on the shape of the data."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from reglab.models import layers
from reglab.models.convolutions import CONV, POOL, check_input_shape, flattened_features
from reglab.models.padding import unpadded
from reglab.schema.constraints import Constraints
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import NUMERIC_INPUTS


class CNN(nn.Sequential):
    """Blocks of convolution ("same" padding), normalization, activation and max-pooling by 2, then a linear layer.

    Padded positions of signals are set to zero in every block, so that they do not influence the output in eval mode.
    The statistics of batch normalization include them.

    Args:
        input_shape: (channels, height, width) or (channels, length).
        outputs: number of classes, or 1 for regression, whose output has the shape (batch,).
        channels: output channels of each block.
        kernel_size: odd width of the kernels.
        activation: a name in `layers.ACTIVATIONS`.
        norm: ``none``, ``batch`` or ``layer``, before the activation.
        padded: whether signals have different lengths and are padded with NaN.

    Raises:
        ConfigError: see `convolutions.check_input_shape`; or layer normalization of padded signals.
    """

    requires_task: ClassVar = (NUMERIC_INPUTS,)
    provides: ClassVar = {"activations": "channels", "maps": "channels"}
    input_dims: ClassVar = (2, 3)
    constraints: ClassVar[Constraints] = {
        "channels": layers.CHANNELS,
        "kernel_size": layers.KERNEL_SIZE,
        "activation": layers.ACTIVATION,
        "norm": layers.NORM,
    }

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        channels: Sequence[int] = (16, 32),
        kernel_size: int = 3,
        activation: str = "relu",
        norm: str = "none",
        padded: bool = False,
    ) -> None:
        dims = check_input_shape("cnn", input_shape, channels, kernel_size)
        if padded and norm == "layer":
            raise ConfigError(
                Setting("model.norm", "layer"),
                "would include padded positions, and this data has sequences of different lengths",
                "use none or batch",
            )
        chain: list[tuple[str, nn.Module]] = []
        features = input_shape[0]
        for i, size in enumerate(channels):
            chain.append((f"conv_{i}", CONV[dims](features, size, kernel_size, padding=kernel_size // 2)))
            chain += [(f"norm_{i}", layer) for layer in layers.norm(norm, size, dims)]
            chain += [(f"activation_{i}", layers.activation(activation)), (f"pool_{i}", POOL[dims](2))]
            features = size
        chain.append(("flatten", nn.Flatten()))
        super().__init__(OrderedDict(chain + layers.output(flattened_features(input_shape, channels), outputs)))
        self.padded = padded

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs (rows, outputs), or (rows,) for regression, of inputs (rows, *input_shape)."""
        if not self.padded:
            outputs: Tensor = super().forward(inputs)
            return outputs
        values, mask = unpadded(inputs)
        for name, layer in self.named_children():
            values = layer(values)
            if name.startswith("activation"):
                values = values.masked_fill(~mask.unsqueeze(1), 0)
            elif name.startswith("pool"):
                mask = F.max_pool1d(mask.float(), 2) > 0
        return values
