"""Snapshot of the state of modules, restored after passes that are not part of training."""

import random
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from reglab.compat.torch import buffer_dict, parameter_dict


class Snapshot:
    """State of modules, restored by `restore` and at the end of a ``with`` block.

    Covers trainable parameters, buffers, gradients and modes. Of other attributes of modules it covers numbers,
    references, the contents of lists, dictionaries, sets and tensors, and random generators. Deeper nesting and state
    outside the modules are not covered.

    Args:
        state: modules, with their submodules.
    """

    def __init__(self, state: Sequence[nn.Module]) -> None:
        modules = list(dict.fromkeys(module for root in state for module in root.modules()))
        parameters = [p for module in modules for p in parameter_dict(module).values() if not (p is None or is_lazy(p))]
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        buffers = [b for module in modules for b in buffer_dict(module).values() if not (b is None or is_lazy(b))]
        self._gradients = {parameter: parameter.grad for parameter in trained}
        self._values = [(tensor, tensor.detach().clone()) for tensor in dict.fromkeys([*trained, *buffers])]
        self._attributes = [(vars(module), dict(vars(module))) for module in modules]
        copied = {id(tensor) for tensor, _ in self._values}
        values = [value for _, saved in self._attributes for value in saved.values()]
        restorers = {id(value): _restorer(value) for value in values if id(value) not in copied}
        self._contents = [restore for restore in restorers.values() if restore is not None]

    def __enter__(self) -> "Snapshot":
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()
        for parameter, gradient in self._gradients.items():
            parameter.grad = gradient

    @torch.no_grad()
    def restore(self) -> None:
        """Restore the state, with gradients set to None."""
        for tensor, value in self._values:
            tensor.copy_(value)
        for parameter in self._gradients:
            parameter.grad = None
        for attributes, saved in self._attributes:
            if len(attributes) != len(saved) or any(attributes.get(name) is not value for name, value in saved.items()):
                attributes.clear()
                attributes.update(saved)
        for restore in self._contents:
            restore()


def _restorer(value: Any) -> Callable[[], object] | None:
    """Return a function that restores the contents of an object; None for types that steps do not change in place."""
    if isinstance(value, Tensor):
        if isinstance(value, nn.Parameter) or not value.is_leaf:
            return None
        copy = value.detach().clone()
        strided = value.layout is torch.strided  # torch.equal supports no other layout
        return lambda: None if strided and torch.equal(value, copy) else value.copy_(copy)
    if type(value) in (dict, OrderedDict, defaultdict, set):
        pairs = value.copy()
        return lambda: (value.clear(), value.update(pairs))
    if type(value) in (list, deque):
        items = list(value)
        return lambda: (value.clear(), value.extend(items))
    if isinstance(value, torch.Generator):
        state = value.get_state()
        return lambda: value.set_state(state)
    if isinstance(value, np.random.Generator):
        numpy_state = value.bit_generator.state
        return lambda: setattr(value.bit_generator, "state", numpy_state)
    if isinstance(value, np.random.RandomState):
        legacy_state = value.get_state()
        return lambda: value.set_state(legacy_state)
    if isinstance(value, random.Random):
        python_state = value.getstate()
        return lambda: value.setstate(python_state)
    return None
