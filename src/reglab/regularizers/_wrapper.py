"""Optimizers around an optimizer, for methods that change its gradients or its steps."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from reglab.schema.errors import ConfigError, Setting

Closure = Callable[[], Any]


class Wrapper(Optimizer):
    """An optimizer that leaves everything to another one; a method overrides `step`.

    A real ``torch.optim.Optimizer``, as Lightning and the schedulers want it. It has no parameter groups and no state
    of its own: what is set on them through the wrapper is set on the base.

    Args:
        base: the optimizer to use, which may be a wrapper too.
    """

    base: Optimizer
    # A GradScaler leaves unscaling to fused optimizers, and here the gradients are needed before the update.
    _step_supports_amp_scaling = False

    def __init__(self, base: Optimizer) -> None:
        # Without Optimizer.__init__, so that groups and state are missing here and `__getattr__` finds the base's.
        self.base = base

    def __getattr__(self, name: str) -> Any:
        if name == "base":  # a copy in the making
            raise AttributeError(name)
        return getattr(self.base, name)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The base's, also when they are replaced as a whole, as Lightning's `BaseFinetuning` does it."""
        return self.base.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        self.base.param_groups = groups

    @property
    def parameters(self) -> list[Tensor]:
        """All parameters of all groups."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def gradients(self, name: str) -> list[Tensor]:
        """Return the gradients of the parameters that have one.

        Args:
            name: of the regularizer that uses them, for the message.

        Raises:
            ConfigError: one is sparse; changing only its stored rows would be a different method.
        """
        return [dense(parameter.grad, name) for parameter in self.parameters if parameter.grad is not None]

    def step(self, closure: Closure | None = None) -> Any:
        """One step of the base."""
        return self.base.step() if closure is None else self.base.step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """The base's."""
        self.base.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """To the base."""
        self.base.add_param_group(param_group)

    def own_state(self) -> dict[str, Any]:
        """What a checkpoint has to hold besides the base's state: tensors and numbers."""
        return {}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Takes back what `own_state` gave."""

    def state_dict(self) -> dict[str, Any]:
        """The base's, with `own_state` under the name of the class."""
        own = self.own_state()
        return {**self.base.state_dict(), **({type(self).__name__: own} if own else {})}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave; a plain optimizer's has nothing for the wrapper."""
        self.base.load_state_dict(state_dict)
        if own := state_dict.get(type(self).__name__):
            self.load_own_state(own)


def dense(gradient: Tensor, name: str) -> Tensor:
    """Return the gradient.

    Args:
        gradient: of any shape.
        name: of the regularizer that changes it.

    Raises:
        ConfigError: it is sparse.
    """
    if gradient.layout is not torch.strided:
        raise ConfigError(
            Setting("regularizer", name),
            f"needs dense gradients, and that of a weight of shape {tuple(gradient.shape)} is sparse",
            "build its layer with sparse=False",
        )
    return gradient


class Updates:
    """Counts the updates of an optimizer: steps that a GradScaler skips, for infinite gradients, are none.

    Args:
        optimizer: a wrapper counts those of its base.
    """

    def __init__(self, optimizer: Any) -> None:
        self.count = 0
        register = getattr(optimizer, "register_step_post_hook", None)
        self.known = register is not None  # else each step counts for one
        if register is not None:
            register(self._add)

    def _add(self, optimizer: Any, *_: Any) -> None:
        skipped = getattr(optimizer, "found_inf", None)  # set where a fused optimizer decides itself
        self.count += skipped is None or not bool(skipped)


class BeforeUpdate(Wrapper):
    """Calls `change` between the gradient and the base's step; of several the outermost comes first.

    Args:
        base: the optimizer to use.
        change: changes gradients or weights in place; runs without autograd.
    """

    def __init__(self, base: Optimizer, change: Callable[[], None]) -> None:
        super().__init__(base)
        self._change = change

    def around(self, wrap: Callable[[Callable[[], None]], Callable[[], None]]) -> None:
        """Replace the change by what `wrap` makes of it."""
        self._change = wrap(self._change)

    def step(self, closure: Closure | None = None) -> Any:
        """One step; without a closure the gradients are there already."""
        if closure is None:
            with torch.no_grad():
                self._change()
            return self.base.step()

        def changed() -> Any:
            loss = closure()
            with torch.no_grad():
                self._change()
            return loss

        return self.base.step(changed)
