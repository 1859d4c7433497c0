"""Outputs of layers in a model's latest training pass, for penalties on activations."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from reglab.compat.torch import version as version_of
from reglab.regularizers._hooks import output_values
from reglab.schema.errors import ConfigError, Setting


class Activation(NamedTuple):
    """The output of one layer, in at least single precision."""

    name: str
    layer: nn.Module
    values: Tensor


class _Record(NamedTuple):
    layer: nn.Module
    values: Tensor  # of the layer, or a copy
    original: Tensor
    version: int  # of the original, which every change in place counts up


class ActivationRecorder:
    """Outputs of layers, kept from a training pass of the model until they are taken.

    Only the latest pass counts if a method makes several in one step. Passes in eval mode or without gradients are
    ignored, and so is the recomputation of activation checkpointing in a backward pass.

    Outputs are kept as their layer returned them, also if the network changes them in place later (``h += x``, an
    activation with ``inplace=True``). The first pass keeps copies and detects the layers where that happens; later
    passes copy only these layers' outputs.

    Args:
        name: of the regularizer, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._trains = False  # a training pass of the model goes on
        self._over = False  # the latest pass of the model has ended: what layers compute now belongs to no pass
        self._kept: list[_Record] = []
        self._handles: list[Any] = []
        self._names: dict[nn.Module, str] = {}
        self._uncopied: set[nn.Module] = set()  # layers whose outputs are not changed later

    def attach(self, model: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        """Record these layers of the model, instead of those of an earlier attachment."""
        for handle in self._handles:
            handle.remove()
        self._names = {layer: name for name, layer in layers.items()}
        self._uncopied = set()
        self._handles = [
            model.register_forward_pre_hook(self._begin),
            model.register_forward_hook(self._end, always_call=True),
        ]
        # In front of other hooks: an activation is the output of its layer, before dropout.
        self._handles += [layer.register_forward_hook(self._keep, prepend=True) for layer in layers.values()]

    def pop(self) -> list[Activation]:
        """Return the outputs in the order of the pass, and release them with the pass's memory.

        Raises:
            ConfigError: one was changed in place, and in earlier passes it was not.
        """
        kept, self._kept = self._kept, []
        changed = {layer for layer, _, original, version in kept if version_of(original) != version}
        for layer, values, original, _ in kept:
            if layer in changed and values is original:
                raise ConfigError(
                    "model",
                    f"the output of {self._names[layer]} is changed in place in some training passes only, and a "
                    "penalty on it needs it as it was",
                    "write h = h + x in place of h += x",
                )
        self._uncopied |= {layer for layer, *_ in kept} - changed
        self._uncopied -= changed
        return [
            Activation(self._names[layer], layer, values.to(torch.promote_types(values.dtype, torch.float32)))
            for layer, values, *_ in kept
        ]

    def _begin(self, model: nn.Module, inputs: Any) -> None:
        self._trains, self._over = _trains(model), False
        if self._trains:
            self._kept.clear()

    def _end(self, model: nn.Module, inputs: Any, output: Any) -> None:
        self._trains, self._over = False, True

    def _keep(self, layer: nn.Module, inputs: Any, output: Any) -> None:
        if self._over:
            return
        if _trains(layer):
            original = output_values(output, self._names[layer])
            values = original if layer in self._uncopied else original.clone()
            self._kept.append(_Record(layer, values, original, version_of(original)))
        elif self._trains and layer.training:
            raise ConfigError(
                Setting("regularizer", self._name),
                f"the activations of {self._names[layer]} have no gradient, as forward runs it under "
                "torch.no_grad() or reentrant activation checkpointing",
                "to freeze layers use requires_grad_(False), for checkpointing use_reentrant=False, or "
                "choose another regularizer",
            )


def _trains(module: nn.Module) -> bool:
    return module.training and torch.is_grad_enabled()
