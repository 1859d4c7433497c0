"""Recording of layer outputs in the latest training pass, for penalties on activations."""

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
    values: Tensor  # output of the layer, or a copy
    original: Tensor
    version: int  # autograd's version of the original; increases with each change in place


class ActivationRecorder:
    """Record the outputs of layers in a training pass of the model, until `pop` returns them.

    A new pass discards the outputs of an earlier one. Passes in eval mode or without gradients are ignored, and so is
    the recomputation of activation checkpointing in a backward pass.

    Recorded outputs are those that the layer returned, also if the network changes them in place later (``h += x``, an
    activation with ``inplace=True``). The first pass records copies and detects layers whose outputs are changed;
    later passes copy the outputs of these layers only.

    Args:
        name: name of the regularizer, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._in_training_pass = False
        self._pass_ended = False  # the latest pass of the model has ended; outputs of layers are ignored
        self._records: list[_Record] = []
        self._handles: list[Any] = []
        self._names: dict[nn.Module, str] = {}
        self._uncopied: set[nn.Module] = set()  # layers whose outputs are not changed later

    def attach(self, model: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        """Register hooks on the layers of the model, in place of those of an earlier attachment."""
        for handle in self._handles:
            handle.remove()
        self._names = {layer: name for name, layer in layers.items()}
        self._uncopied = set()
        self._handles = [
            model.register_forward_pre_hook(self._begin),
            model.register_forward_hook(self._end, always_call=True),
        ]
        # In front of other hooks, so that activations are recorded before dropout.
        self._handles += [layer.register_forward_hook(self._record, prepend=True) for layer in layers.values()]

    def pop(self) -> list[Activation]:
        """Return the recorded outputs in the order of the pass, and clear the record.

        Raises:
            ConfigError: an output was changed in place, but not in earlier passes.
        """
        records, self._records = self._records, []
        changed = {layer for layer, _, original, version in records if version_of(original) != version}
        for layer, values, original, _ in records:
            if layer in changed and values is original:
                raise ConfigError(
                    "model",
                    f"the output of {self._names[layer]} is changed in place in some training passes only, and a "
                    "penalty on it needs the unchanged values",
                    "write h = h + x in place of h += x",
                )
        self._uncopied |= {layer for layer, *_ in records} - changed
        self._uncopied -= changed
        return [
            Activation(self._names[layer], layer, values.to(torch.promote_types(values.dtype, torch.float32)))
            for layer, values, *_ in records
        ]

    def _begin(self, model: nn.Module, inputs: Any) -> None:
        self._in_training_pass, self._pass_ended = _is_training(model), False
        if self._in_training_pass:
            self._records.clear()

    def _end(self, model: nn.Module, inputs: Any, output: Any) -> None:
        self._in_training_pass, self._pass_ended = False, True

    def _record(self, layer: nn.Module, inputs: Any, output: Any) -> None:
        if self._pass_ended:
            return
        if _is_training(layer):
            original = output_values(output, self._names[layer])
            values = original if layer in self._uncopied else original.clone()
            self._records.append(_Record(layer, values, original, version_of(original)))
        elif self._in_training_pass and layer.training:
            raise ConfigError(
                Setting("regularizer", self._name),
                f"the activations of {self._names[layer]} have no gradient, because forward runs it under "
                "torch.no_grad() or reentrant activation checkpointing",
                "to freeze layers use requires_grad_(False), for checkpointing use_reentrant=False, or "
                "choose another regularizer",
            )


def _is_training(module: nn.Module) -> bool:
    return module.training and torch.is_grad_enabled()
