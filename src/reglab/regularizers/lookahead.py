"""Lookahead: every k steps the weights are interpolated with slow weights."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from reglab.regularizers._order import AVERAGE
from reglab.regularizers._wrapper import Closure, Wrapper
from reglab.regularizers.base import Regularizer
from reglab.schema.strength import Search, Strength


def interpolate(slow: Tensor, fast: Tensor, alpha: Tensor) -> Tensor:
    """Return slow + alpha · (fast - slow); at alpha = 1 `fast`, bit for bit.

    Zhang et al. 2019, "Lookahead Optimizer: k Steps Forward, 1 Step Back".

    Args:
        slow, fast: tensors of one shape.
        alpha: 0-dim, at least 0.01 and at most 1.
    """
    return torch.lerp(slow, fast, alpha.to(slow.dtype))  # the formula would round at alpha = 1


class Lookahead(Regularizer):
    """Every k steps, move the slow weights by the share alpha towards the weights, and set the weights to them.

    Args:
        alpha: at least 0.01 and at most 1; 1 is off, whatever k is.
        k: a whole number of at least 1; with k = 1 and alpha below 1 each step is scaled by alpha.
    """

    alpha = Strength(
        0.5, Search(0.2, 0.9), minimum=0.01, maximum=1.0, off=1.0, disables=True, effect="averaged weights"
    )
    k = Strength(5.0, Search(2.0, 10.0), minimum=1.0, off=1.0, whole=True, probe=1.0)
    memory_traffic: ClassVar = 0.8  # both in and out, every fifth step
    order: ClassVar = AVERAGE
    stackable: ClassVar = "it wraps the optimizer, and runs with different k update slow weights in different steps"

    def acts_within(self, steps: int, evaluations: int) -> bool:
        return float(self.k) <= steps

    def wrap_optimizer(self, optimizer: Optimizer) -> Optimizer:
        return LookaheadOptimizer(optimizer, self)


class LookaheadOptimizer(Wrapper):
    """Optimizer wrapper with slow weights; its state dict contains them."""

    def __init__(self, base: Optimizer, method: Lookahead) -> None:
        super().__init__(base)
        self._method = method
        self.steps = 0
        self.slow: list[Tensor] = []

    def step(self, closure: Closure | None = None) -> Any:
        """Take a step of the base, and after every k steps one of the slow weights."""
        new = self.parameters[len(self.slow) :]  # all in the first step, later those of added groups
        self.slow += [parameter.detach().clone() for parameter in new]
        loss = super().step(closure)
        self.steps += 1
        if self.steps % int(self._method.k) == 0:
            self._synchronize()
        return loss

    @torch.no_grad()
    def _synchronize(self) -> None:
        for slow, parameter in zip(self.slow, self.parameters, strict=True):
            slow.copy_(interpolate(slow, parameter, self._method.alpha))
            parameter.copy_(slow)

    def own_state(self) -> dict[str, Any]:
        """Return the slow weights in the order of the parameters, and the number of steps."""
        return {"slow": self.slow, "steps": self.steps}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Load the slow weights and the number of steps."""
        self.steps = state["steps"]
        self.slow = [slow.to(p, copy=True) for slow, p in zip(state["slow"], self.parameters, strict=False)]
