"""Layers that several networks use: activations, normalizations, the output layer, and constraints on their keys."""

from torch import nn

from reglab.schema.constraints import DEEPEST, Integer, ListOf, OneOf

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


class _ChannelLayerNorm(nn.GroupNorm):
    """Layer normalization of feature maps over channels and positions of one example, with a gain for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)


NORMS: dict[str, dict[int, type[nn.Module]]] = {  # class by the number of dimensions after the features
    "batch": {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d},
    "layer": {0: nn.LayerNorm, 1: _ChannelLayerNorm, 2: _ChannelLayerNorm},
}


ACTIVATION = OneOf(*ACTIVATIONS)
NORM = OneOf("none", *NORMS)
SIZES = ListOf(Integer(1), maximum=DEEPEST)
CHANNELS = ListOf(Integer(1), minimum=1, maximum=DEEPEST)
KERNEL_SIZE = Integer(1, odd=True)
DEPTH = Integer(1, DEEPEST)
"""Constraints on keys that several networks have."""


def activation(name: str) -> nn.Module:
    """Return a new activation module; `name` is a key of `ACTIVATIONS`."""
    return ACTIVATIONS[name]()


def norm(name: str, features: int, dims: int = 0) -> list[nn.Module]:
    """Return a list with the normalization layer, empty for ``none``.

    Args:
        name: ``none``, ``batch`` or ``layer``.
        features: units or channels.
        dims: 0 for units, 1 for sequences of channels, 2 for images.
    """
    return [] if name == "none" else [NORMS[name][dims](features)]


def output(features: int, outputs: int) -> list[tuple[str, nn.Module]]:
    """Return the named output layers, for outputs of shape (batch, outputs), or (batch,) for one output."""
    layers: list[tuple[str, nn.Module]] = [("output", nn.Linear(features, outputs))]
    if outputs == 1:
        layers.append(("squeeze", nn.Flatten(-2)))
    return layers
