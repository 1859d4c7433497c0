"""Weights that are others for the length of a forward pass."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from reglab.regularizers.base import penalized


class WeightSwap:
    """Lets a model compute with changed weights in training, and puts its own back after every forward pass.

    The hooks are on the whole model and not on its layers: weights that two layers share change once, and a layer that
    reads another's weights without calling it (nn.MultiheadAttention does) sees the change too. Gradients reach a
    weight through its change; penalties, optimizers and state dicts see the weight itself.

    Args:
        change: from a weight to what the model is to compute with in its place, of the same shape. Called for each
            penalized weight at each forward pass in training mode.
    """

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        self._change = change
        self._own: list[tuple[nn.Module, str, Any]] = []
        self._handles: list[Any] = []

    def attach(self, model: nn.Module) -> list[str]:
        """Hangs the hooks on the model, in place of those of an earlier call; returns the names of the weights."""
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
        changed: dict[int, Any] = {id(weight): self._change(weight) for weight in penalized(model).values()}
        for layer in model.modules():
            for name, weight in layer._parameters.items():
                if id(weight) in changed:
                    self._own.append((layer, name, weight))
                    # Past nn.Module.__setattr__, which takes nothing but an nn.Parameter here.
                    layer._parameters[name] = changed[id(weight)]

    def _put_back(self, model: nn.Module, inputs: Any, outputs: Any) -> None:
        # From the end, so that what Ctrl-C left in the middle of a pass is undone by the next one.
        while self._own:
            layer, name, weight = self._own.pop()
            layer._parameters[name] = weight
