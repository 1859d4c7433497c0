"""What layers said in a model's latest training pass, for penalties on activations."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Said:
    """Outputs of layers, kept from a training pass of the model until they are taken.

    Only the latest one counts, where a method makes several in one step. A pass in eval mode or without gradients is
    no training pass and changes nothing.
    """

    def __init__(self) -> None:
        self._outputs: list[Tensor] = []
        self._handles: list[Any] = []

    def attach(self, model: nn.Module, layers: Iterable[nn.Module]) -> None:
        """Listens to these layers of the model, in place of those of an earlier attachment."""
        for handle in self._handles:
            handle.remove()
        self._handles = [model.register_forward_pre_hook(self._begin)]
        # In front of other hooks: an activation is what its layer says, before dropout.
        self._handles += [layer.register_forward_hook(self._keep, prepend=True) for layer in layers]

    def take(self) -> list[Tensor]:
        """The outputs, in at least single precision, which are forgotten here: they hold the pass's memory."""
        outputs, self._outputs = self._outputs, []
        return [output.to(torch.promote_types(output.dtype, torch.float32)) for output in outputs]

    def _begin(self, model: nn.Module, inputs: Any) -> None:
        if _trains(model):
            self._outputs.clear()

    def _keep(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if _trains(layer):
            self._outputs.append(output)


def _trains(module: nn.Module) -> bool:
    return module.training and torch.is_grad_enabled()
