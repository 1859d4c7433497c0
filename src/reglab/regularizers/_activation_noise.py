"""Base classes of methods that add noise to outputs of layers in training."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._hooks import output_values, replace_hooks, replace_values
from reglab.regularizers._layers import embeddings, hidden_activations, map_activations
from reglab.regularizers._order import DROPOUT
from reglab.regularizers.base import Regularizer
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.strength import Strength
from reglab.schema.task_kinds import TOKENS

_TESTED_CHANNELS = 8  # number tested to detect the axis of channels


class ActivationNoise(Regularizer):
    """Add noise to the outputs of hidden activations in training, with new draws in each pass; none in evaluation."""

    order: ClassVar = DROPOUT
    stochastic: ClassVar = True
    requires: ClassVar = "activations"
    requirement: ClassVar = "it needs activation modules (nn.ReLU, ...) between layers"
    p: ClassVar[Strength]
    _handles: Sequence[Any] = ()

    def layers(self, model: nn.Module) -> dict[str, nn.Module]:
        """Return the layers whose outputs are changed, by name."""
        return hidden_activations(model)

    def noisy(self, values: Tensor) -> Tensor:
        """Return a layer's output (rows, ...) with noise."""
        raise NotImplementedError

    def attach(self, model: nn.Module) -> list[str]:
        layers = self.layers(model)
        self._handles = replace_hooks(self._handles, layers.values(), self._change_output)
        return list(layers)

    def _change_output(self, layer: nn.Module, inputs: Any, output: Any) -> Any:
        if not layer.training:
            return output
        return replace_values(output, self.noisy(output_values(output, type(layer).__name__)))


class MapNoise(ActivationNoise):
    """Add noise to the feature maps of convolutions (rows, channels, *positions), as `ActivationNoise`.

    The first training passes check that axis 1 of each activation is the axis of channels. Feature maps that the
    network permutes before the activation (channels last) raise a ConfigError with the name of the activation.
    """

    input_dims: ClassVar = (2, 3)
    requires: ClassVar = "maps"
    requirement: ClassVar = "it needs activation modules (nn.ReLU, ...) after convolutions, as in model=cnn"

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._unchecked: dict[nn.Module, tuple[str, nn.Module]] = {}  # activation to its name and its convolution
        self._convolution_outputs: dict[nn.Module, Tensor] = {}  # outputs of convolutions in this pass

    def layers(self, model: nn.Module) -> dict[str, nn.Module]:
        return {name: layer for name, (layer, _) in map_activations(model).items()}

    def attach(self, model: nn.Module) -> list[str]:
        activations = map_activations(model)
        self._unchecked = {layer: (name, convolution) for name, (layer, convolution) in activations.items()}
        self._convolution_outputs = {}
        names = super().attach(model)
        convolutions = dict.fromkeys(convolution for _, convolution in self._unchecked.values())
        self._handles = [*self._handles, *(layer.register_forward_hook(self._record) for layer in convolutions)]
        return names

    def _record(self, convolution: nn.Module, inputs: Any, output: Tensor) -> None:
        if self._unchecked and convolution.training:
            self._convolution_outputs[convolution] = output

    def _change_output(self, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        if output.ndim < 3:  # of a module that linear layers share with convolutions
            return output
        if layer.training and layer in self._unchecked:
            name, convolution = self._unchecked[layer]
            is_first = channels_first(self._convolution_outputs.pop(convolution, None), output)
            if is_first is False:
                raise ConfigError(
                    Setting("regularizer", self.name),
                    f"needs feature maps (rows, channels, *positions); axis 1 of {name}, of shape "
                    f"{tuple(output.shape)}, is not the axis of channels",
                    "permute after the activation",
                )
            if is_first:
                del self._unchecked[layer]
        return super()._change_output(layer, inputs, output)


def channels_first(maps: Tensor | None, values: Tensor) -> bool | None:
    """Return whether axis 1 of an activation is the axis of channels; None if it cannot be decided.

    Decided by gradients: channel i of the activation depends most on channel i of the feature maps, also after a
    normalization that mixes all channels.

    Args:
        maps: output of a convolution, (rows, channels, *positions).
        values: output of an activation after it.
    """
    if maps is None or maps.ndim < 3 or not values.requires_grad:
        return None
    try:
        if _is_channel_axis(values, 1, maps):
            return True
        return False if _is_channel_axis(values, values.ndim - 1, maps) else None
    except RuntimeError:  # inside of vmap
        return None


def _is_channel_axis(values: Tensor, axis: int, maps: Tensor) -> bool:
    """Return whether each of the first entries along the axis depends most on the channel of the same number."""
    tested = False
    for channel in range(min(values.shape[axis], _TESTED_CHANNELS)):
        entry = values.select(axis, channel)
        signs = torch.rand(entry.shape, generator=torch.Generator().manual_seed(channel)).round().mul(2).sub(1)
        (slopes,) = torch.autograd.grad(entry, maps, signs.to(entry), retain_graph=True, allow_unused=True)
        if slopes is None or not slopes.any():
            continue
        if int(slopes.float().square().transpose(0, 1).flatten(1).sum(1).argmax()) != channel:
            return False
        tested = True
    return tested


class DecoderNoise(Regularizer):
    """Add noise to the outputs of parts of a Transformer in training, with new draws in each pass."""

    order: ClassVar = DROPOUT
    stochastic: ClassVar = True
    p: ClassVar[Strength]
    _handles: Sequence[Any] = ()

    def parts(self, model: nn.Module) -> dict[str, nn.Module]:
        """Return the parts whose outputs are changed, by name."""
        raise NotImplementedError

    def noisy(self, values: Tensor) -> Tensor:
        """Return a part's output (rows, length, units) with noise."""
        raise NotImplementedError

    def attach(self, model: nn.Module) -> list[str]:
        parts = self.parts(model)
        self._handles = replace_hooks(self._handles, parts.values(), self._change_output)
        return list(parts)

    def _change_output(self, part: nn.Module, inputs: Any, output: Any) -> Any:
        if not part.training:
            return output
        return replace_values(output, self.noisy(output_values(output, type(part).__name__)))


class EmbeddingNoise(DecoderNoise):
    """Add noise to the embedded tokens, as `DecoderNoise`."""

    requires_task: ClassVar = (TOKENS,)
    requires: ClassVar = "embeddings"
    requirement: ClassVar = "it needs an embedding of tokens, as in model=llama"

    def parts(self, model: nn.Module) -> dict[str, nn.Module]:
        return embeddings(model)
