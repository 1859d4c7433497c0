"""Residual network for images (ResNet-18 by default)."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from reglab.models import layers
from reglab.schema.constraints import DEEPEST, Constraints, Integer, ListOf, OneOf
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import NUMERIC_INPUTS


class BasicBlock(nn.Module):
    """Residual block activation(shortcut(x) + branch(x)) with two 3 x 3 convolutions.

    The shortcut is a projection if the stride is not 1 or the number of channels changes, else the identity.

    Args:
        inputs: number of input channels.
        channels: number of output channels.
        stride: factor by which both sides shrink.
        activation: a name in `layers.ACTIVATIONS`.
        norm: ``none``, ``batch`` or ``layer``, after each convolution.
    """

    def __init__(self, inputs: int, channels: int, stride: int, activation: str, norm: str) -> None:
        super().__init__()
        bias = norm == "none"
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, stride, padding=1, bias=bias),
            *layers.norm(norm, channels, 2),
            layers.activation(activation),
            nn.Conv2d(channels, channels, 3, padding=1, bias=bias),
            *layers.norm(norm, channels, 2),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, channels, 1, stride, bias=bias), *layers.norm(norm, channels, 2)
            )
        self.activation = layers.activation(activation)

    def forward(self, images: Tensor) -> Tensor:
        """Return (rows, channels, height / stride, width / stride), rounded up, of (rows, inputs, height, width)."""
        total: Tensor = self.activation(self.shortcut(images) + self.branch(images))
        return total


class ResNet(nn.Sequential):
    """Stem, stages of basic blocks, mean over all positions and linear layer; ResNet-18 by default.

    He, Zhang, Ren and Sun 2016, "Deep Residual Learning for Image Recognition". The small stem, a 3 x 3 convolution, is
    that for CIFAR-10; the large one, 7 x 7 with stride 2 and pooling, that for ImageNet. The first block of each stage
    but the first halves both sides. Weights are initialized as in He et al. 2015, by fan-out.

    Args:
        input_shape: (channels, height, width).
        outputs: number of classes, or 1 for regression, whose output has the shape (batch,).
        channels: output channels of each stage.
        depths: blocks of each stage.
        stem: ``small`` or ``large``.
        activation: a name in `layers.ACTIVATIONS`.
        norm: ``none``, ``batch`` or ``layer``.

    Raises:
        ConfigError: the data are not images, or `depths` and `channels` differ in length.
    """

    requires_task: ClassVar = (NUMERIC_INPUTS,)
    provides: ClassVar = {"activations": "channels", "maps": "channels", "branches": "channels"}
    input_dims: ClassVar = (3,)
    constraints: ClassVar[Constraints] = {
        "channels": layers.CHANNELS,
        "depths": ListOf(Integer(1, DEEPEST), 1, DEEPEST),
        "stem": OneOf("small", "large"),
        "activation": layers.ACTIVATION,
        "norm": layers.NORM,
    }

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        channels: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        stem: str = "small",
        activation: str = "relu",
        norm: str = "batch",
    ) -> None:
        if len(input_shape) != 3:
            raise ConfigError(
                Setting("model", "resnet"),
                f"needs images, and this data's examples have the shape {input_shape}",
                "use model=residual_cnn for signals, or model=mlp",
            )
        if len(depths) != len(channels) or not channels:
            raise ConfigError(
                Setting("model.depths", list(depths)),
                f"model.channels={list(channels)} has {len(channels)} stages",
                "set a number of blocks for each stage",
            )
        kernel, stride = (3, 1) if stem == "small" else (7, 2)
        chain: list[tuple[str, nn.Module]] = [
            ("stem", nn.Conv2d(input_shape[0], channels[0], kernel, stride, padding=kernel // 2, bias=norm == "none")),
            *((f"norm_{i}", layer) for i, layer in enumerate(layers.norm(norm, channels[0], 2))),
            ("activation", layers.activation(activation)),
        ]
        if stem == "large":
            chain.append(("pool", nn.MaxPool2d(3, stride=2, padding=1)))
        features = channels[0]
        for stage, (depth, width) in enumerate(zip(depths, channels, strict=True)):
            for block in range(depth):
                block_stride = 2 if stage > 0 and block == 0 else 1
                chain.append((f"block_{stage}_{block}", BasicBlock(features, width, block_stride, activation, norm)))
                features = width
        chain += [("mean", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten())]
        super().__init__(OrderedDict(chain + layers.output(features, outputs)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
