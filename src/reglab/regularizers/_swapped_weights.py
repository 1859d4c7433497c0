"""Weights that are replaced for the length of a forward pass, and of its backward pass."""

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
    """Lets a model compute with changed weights in training, and puts its own back after every forward pass.

    While gradients of that pass are computed, the same changed weights are in place again: under activation
    checkpointing (``torch.utils.checkpoint``) the backward pass computes parts of the forward pass once more.

    The hooks are on the whole model and not on its layers: weights that two layers share change once, and a layer that
    reads another's weights without calling it (nn.MultiheadAttention does) sees the change too. Gradients reach a
    weight through its change; penalties, optimizers and state dicts see the weight itself.

    Args:
        change: from a weight to what the model is to compute with in its place, of the same shape. Called for each
            penalized weight at each forward pass in training mode.
        name: of the regularizer, for messages.
    """

    def __init__(self, change: Callable[[Tensor], Tensor], name: str = "weight_swap") -> None:
        self._change = change
        self._name = name
        self._own: list[tuple[nn.Module, str, Any]] = []
        self._handles: list[Any] = []

    def attach(self, model: nn.Module) -> list[str]:
        """Hangs the hooks on the model, in place of those of an earlier call; returns the names of the weights.

        Raises:
            ConfigError: a layer computes its weight from a trainable parameter (weight normalization).
        """
        for prefix, layer, name, parameter in weights_of(model):
            if parameter.requires_grad and _gives_weight(layer, name):
                raise ConfigError(
                    Setting("regularizer", self._name),
                    f"changes weights, and {prefix}.{name} is none: it is a parameter from which the layer "
                    "computes its weight",
                    "remove the parametrization (torch.nn.utils.parametrize.remove_parametrizations), or choose "
                    "another regularizer",
                )
        for handle in self._handles:
            handle.remove()
        self._handles = [
            model.register_forward_pre_hook(self._swap),
            # In front of the hooks that are there: of two swaps, the one that came last gives back first.
            model.register_forward_hook(self._put_back, prepend=True, always_call=True),
        ]
        return list(penalized(model))

    def _swap(self, model: nn.Module, inputs: Any) -> None:
        if not model.training:
            return
        _end_backward()  # where one was interrupted, or calls the model once more
        changed: dict[int, Any] = {id(weight): self._change(weight) for weight in penalized(model).values()}
        for layer in model.modules():
            for name, weight in parameter_dict(layer).items():
                if id(weight) in changed:
                    self._own.append((layer, name, weight))
                    parameter_dict(layer)[name] = changed[id(weight)]

    def _put_back(self, model: nn.Module, inputs: Any, outputs: Any) -> None:
        if not self._own:
            return
        changed = []
        # From the end, so that what Ctrl-C left in the middle of a pass is undone by the next one.
        while self._own:
            layer, name, weight = self._own.pop()
            changed.append(_Change(layer, name, weight, parameter_dict(layer)[name]))
            parameter_dict(layer)[name] = weight
        if torch.compiler.is_compiling():  # a compiled backward pass reads what it needs from its own graph
            return
        for output in _differentiable(outputs):
            output.register_hook(lambda _: _put_in_place(changed))


def _gives_weight(layer: nn.Module, name: str) -> bool:
    """Whether a layer computes its weight from this parameter, by a parametrization or by their older hooks."""
    if isinstance(layer, ParametrizationList):
        return True
    older = [hook for hook in forward_hooks(layer)[0].values() if isinstance(hook, WeightNorm | SpectralNorm)]
    return any(name.startswith(f"{hook.name}_") for hook in older)


class _Change(NamedTuple):
    """A parameter of a layer in one pass: what it was, and what it was replaced by."""

    layer: nn.Module
    name: str
    before: Any
    after: Any


# In place during a backward pass, by layer and name: the parameter that is hidden, and the latest change.
_in_backward: dict[tuple[int, str], tuple[Any, _Change]] = {}


def _put_in_place(changed: list[_Change]) -> None:
    """Show the weights of a pass until the backward pass ends; runs when the gradient reaches the pass's outputs.

    Of several passes in one step the later one comes first: autograd goes through the graph from its end.
    """
    for change in changed:
        key = (id(change.layer), change.name)
        parameter, now = _in_backward.get(key, (parameter_dict(change.layer)[change.name], None))
        if now is not None and now.before is change.after:
            continue  # another swap changed the same pass's weight further
        _in_backward[key] = (parameter, change)
        parameter_dict(change.layer)[change.name] = change.after
    after_backward(_end_backward)


def _end_backward() -> None:
    while _in_backward:
        parameter, change = _in_backward.popitem()[1]
        parameter_dict(change.layer)[change.name] = parameter


def _differentiable(outputs: Any) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        if outputs.requires_grad:
            yield outputs
    elif isinstance(outputs, Mapping | list | tuple):
        for output in outputs.values() if isinstance(outputs, Mapping) else outputs:
            yield from _differentiable(output)
