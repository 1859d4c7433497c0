"""Replacement of weights during a forward pass and its backward pass."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from reglab.compat.torch import after_backward, forward_hooks, parameter_dict
from reglab.regularizers.base import penalized, weights_of
from reglab.schema.errors import ConfigError, Setting


class WeightSwap:
    """Replace the weights of a model by changed ones in training passes, and restore them after each pass.

    The changed weights are in place during the backward pass too, since activation checkpointing
    (``torch.utils.checkpoint``) recomputes parts of the forward pass there.

    The hooks are on the whole model, not on its layers: a weight that layers share is changed once, and layers that
    read weights of others without calling them (nn.MultiheadAttention) use the changed weights too. Gradients are
    propagated through the change to the weight; penalties, optimizers and state dicts use the weight itself.

    Args:
        change: function from a weight to the changed weight of the same shape, called for each penalized weight in
            each forward pass in training mode.
        name: name of the regularizer, for messages.
    """

    def __init__(self, change: Callable[[Tensor], Tensor], name: str = "weight_swap") -> None:
        self._change = change
        self._name = name
        self._originals: list[tuple[nn.Module, str, Any]] = []
        self._handles: list[Any] = []

    def attach(self, model: nn.Module) -> list[str]:
        """Register the hooks on the model, in place of those of an earlier call; return the names of the weights.

        Raises:
            ConfigError: a layer computes its weight from a trainable parameter (weight normalization).
        """
        for prefix, layer, name, parameter in weights_of(model):
            if parameter.requires_grad and _computes_weight_from(layer, name):
                raise ConfigError(
                    Setting("regularizer", self._name),
                    f"changes weights, and {prefix}.{name} is a parameter from which the layer computes its weight",
                    "remove the parametrization (torch.nn.utils.parametrize.remove_parametrizations), or choose "
                    "another regularizer",
                )
        for handle in self._handles:
            handle.remove()
        self._handles = [
            model.register_forward_pre_hook(self._swap),
            # In front of existing hooks: of two swaps, the later one restores its weights first.
            model.register_forward_hook(self._restore, prepend=True, always_call=True),
        ]
        return list(penalized(model))

    def _swap(self, model: nn.Module, inputs: Any) -> None:
        if not model.training:
            return
        _end_backward()  # ends a backward pass that was interrupted, or that calls the model
        changed: dict[int, Any] = {id(weight): self._change(weight) for weight in penalized(model).values()}
        for layer in model.modules():
            for name, weight in parameter_dict(layer).items():
                if id(weight) in changed:
                    self._originals.append((layer, name, weight))
                    parameter_dict(layer)[name] = changed[id(weight)]

    def _restore(self, model: nn.Module, inputs: Any, outputs: Any) -> None:
        if not self._originals:
            return
        changed = []
        # In reverse order, so that replacements of an interrupted pass are undone as well.
        while self._originals:
            layer, name, weight = self._originals.pop()
            changed.append(_Change(layer, name, weight, parameter_dict(layer)[name]))
            parameter_dict(layer)[name] = weight
        if torch.compiler.is_compiling():  # a compiled backward pass does not read the parameters
            return
        for output in _differentiable(outputs):
            output.register_hook(lambda _: _put_in_place(changed))


def _computes_weight_from(layer: nn.Module, name: str) -> bool:
    """Return whether a layer computes its weight from this parameter, by a parametrization or the older hooks."""
    if isinstance(layer, ParametrizationList):
        return True
    hooks = [hook for hook in forward_hooks(layer)[0].values() if isinstance(hook, WeightNorm | SpectralNorm)]
    return any(name.startswith(f"{hook.name}_") for hook in hooks)


class _Change(NamedTuple):
    """A parameter of a layer in one pass: its value before and after the replacement."""

    layer: nn.Module
    name: str
    before: Any
    after: Any


# During a backward pass, by layer and name: the replaced parameter, and the latest change.
_in_backward: dict[tuple[int, str], tuple[Any, _Change]] = {}


def _put_in_place(changed: list[_Change]) -> None:
    """Put the changed weights of a pass in place until the backward pass ends.

    Called when the gradient reaches the outputs of the pass; of several passes in one step, the latest comes first.
    """
    for change in changed:
        key = (id(change.layer), change.name)
        parameter, latest = _in_backward.get(key, (parameter_dict(change.layer)[change.name], None))
        if latest is not None and latest.before is change.after:
            continue  # another swap changed the weight of the same pass afterwards
        _in_backward[key] = (parameter, change)
        parameter_dict(change.layer)[change.name] = change.after
    after_backward(_end_backward)


def _end_backward() -> None:
    """Put the weights themselves back in place."""
    while _in_backward:
        parameter, change = _in_backward.popitem()[1]
        parameter_dict(change.layer)[change.name] = parameter


def _differentiable(outputs: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested outputs that require gradients."""
    if isinstance(outputs, Tensor):
        if outputs.requires_grad:
            yield outputs
    elif isinstance(outputs, Mapping | list | tuple):
        for output in outputs.values() if isinstance(outputs, Mapping) else outputs:
            yield from _differentiable(output)
