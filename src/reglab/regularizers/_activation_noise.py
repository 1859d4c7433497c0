"""What methods that make hidden activations noisy have in common."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from reglab.regularizers._hooks import hidden_activations, map_activations, moved, values_of, with_values
from reglab.regularizers._order import DROPOUT
from reglab.regularizers.base import BELOW_1, Regularizer


class ActivationNoise(Regularizer):
    """Changes the outputs of hidden activations in training, anew at each pass; in evaluation they stay as they are."""

    off: ClassVar = {"p": 0.0}
    bounds: ClassVar = {"p": (0.0, BELOW_1)}
    effects: ClassVar = {"p": "noisy activations"}
    acts: ClassVar = DROPOUT
    random_forward: ClassVar = True
    acts_on: ClassVar = "activations"
    needs: ClassVar = "it needs activation modules (nn.ReLU, ...) between layers"
    p: Tensor
    _handles: Sequence[Any] = ()

    def layers(self, model: nn.Module) -> dict[str, nn.Module]:
        """The layers whose outputs are changed, by name."""
        return hidden_activations(model)

    def noisy(self, values: Tensor) -> Tensor:
        """What a layer's output (rows, ...) becomes."""
        raise NotImplementedError

    def attach(self, model: nn.Module) -> list[str]:
        layers = self.layers(model)
        self._handles = moved(self._handles, layers.values(), self._in_training)
        return list(layers)

    def _in_training(self, layer: nn.Module, inputs: Any, output: Any) -> Any:
        if not layer.training:
            return output
        return with_values(output, self.noisy(values_of(output, type(layer).__name__)))


class MapNoise(ActivationNoise):
    """The same for the maps of convolutions: (rows, channels, *positions)."""

    dims: ClassVar = (2, 3)
    acts_on: ClassVar = "maps"
    needs: ClassVar = "it needs activation modules (nn.ReLU, ...) after convolutions, as in model=cnn"

    def layers(self, model: nn.Module) -> dict[str, nn.Module]:
        return map_activations(model)

    def _in_training(self, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        if output.ndim < 3:  # of a module that linear layers share with convolutions
            return output
        return super()._in_training(layer, inputs, output)
