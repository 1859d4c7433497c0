"""Wrappers of optimizers, for methods that change gradients or steps."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from reglab.schema.errors import ConfigError, Setting

Closure = Callable[[], Any]


class Wrapper(Optimizer):
    """Base class of optimizers that delegate to another one; a subclass overrides `step`.

    A ``torch.optim.Optimizer``, as Lightning and schedulers require. Parameter groups and state are those of the base,
    which assignments through the wrapper change.

    Args:
        base: the optimizer to wrap, which may be a wrapper too.
    """

    base: Optimizer
    # A GradScaler leaves unscaling to fused optimizers, but wrappers read the gradients before the update.
    _step_supports_amp_scaling = False

    def __init__(self, base: Optimizer) -> None:
        # Without Optimizer.__init__, so that `__getattr__` returns groups and state of the base.
        self.base = base

    def __getattr__(self, name: str) -> Any:
        if name == "base":  # in a copy that is not initialized yet
            raise AttributeError(name)
        return getattr(self.base, name)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the base. Lightning's `BaseFinetuning` assigns them as a whole."""
        return self.base.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        self.base.param_groups = groups

    @property
    def parameters(self) -> list[Tensor]:
        """Parameters of all groups."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def gradients(self, name: str) -> list[Tensor]:
        """Return the gradients of the parameters that have one.

        Args:
            name: name of the regularizer that uses them, for the message.

        Raises:
            ConfigError: a gradient is sparse; changing only its stored rows would be a different method.
        """
        return [dense(parameter.grad, name) for parameter in self.parameters if parameter.grad is not None]

    def step(self, closure: Closure | None = None) -> Any:
        """Take a step of the base."""
        return self.base.step() if closure is None else self.base.step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of the base."""
        self.base.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group to the base."""
        self.base.add_param_group(param_group)

    def own_state(self) -> dict[str, Any]:
        """Return the state of the wrapper for checkpoints: tensors and numbers."""
        return {}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Load the state that `own_state` returned."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the base, with `own_state` under the name of the class."""
        own = self.own_state()
        return {**self.base.state_dict(), **({type(self).__name__: own} if own else {})}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state that `state_dict` returned; that of an optimizer without wrapper is accepted."""
        self.base.load_state_dict(state_dict)
        if own := state_dict.get(type(self).__name__):
            self.load_own_state(own)


def dense(gradient: Tensor, name: str) -> Tensor:
    """Return the gradient if it is dense.

    Args:
        gradient: gradient of any shape.
        name: name of the regularizer that changes it, for the message.

    Raises:
        ConfigError: the gradient is sparse.
    """
    if gradient.layout is not torch.strided:
        raise ConfigError(
            Setting("regularizer", name),
            f"needs dense gradients, and that of a weight of shape {tuple(gradient.shape)} is sparse",
            "build its layer with sparse=False",
        )
    return gradient


class UpdateCounter:
    """Count the updates of an optimizer, without steps that a GradScaler skips for infinite gradients.

    Args:
        optimizer: optimizer whose updates are counted; for a wrapper, those of its base.
    """

    def __init__(self, optimizer: Any) -> None:
        self.count = 0
        register = getattr(optimizer, "register_step_post_hook", None)
        self.countable = register is not None  # False: the optimizer has no hooks, and `count` stays 0
        if register is not None:
            register(self._add)

    def _add(self, optimizer: Any, *_: Any) -> None:
        skipped = getattr(optimizer, "found_inf", None)  # set on fused optimizers, which skip the update themselves
        self.count += skipped is None or not bool(skipped)


class BeforeUpdate(Wrapper):
    """Call `change` after the gradients are computed and before the update; the outermost of several comes first.

    Args:
        base: the optimizer to wrap.
        change: changes gradients or weights in place; called without autograd.
    """

    def __init__(self, base: Optimizer, change: Callable[[], None]) -> None:
        super().__init__(base)
        self._change = change

    def wrap_change(self, wrap: Callable[[Callable[[], None]], Callable[[], None]]) -> None:
        """Replace the change by `wrap(change)`."""
        self._change = wrap(self._change)

    def step(self, closure: Closure | None = None) -> Any:
        """Take a step; without a closure the gradients are already computed."""
        if closure is None:
            with torch.no_grad():
                self._change()
            return self.base.step()

        def closure_then_change() -> Any:
            loss = closure()
            with torch.no_grad():
                self._change()
            return loss

        return self.base.step(closure_then_change)
