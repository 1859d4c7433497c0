"""Lookahead: slow weights follow the optimizer's every few steps, and it goes on from them."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from reglab.regularizers._order import AVERAGE
from reglab.regularizers._wrapper import Closure, Wrapper
from reglab.regularizers.base import Regularizer
from reglab.schema.strength import Search, Strength


def toward(slow: Tensor, fast: Tensor, alpha: Tensor) -> Tensor:
    """slow + alpha · (fast - slow), which is `fast` itself, bit for bit, at alpha = 1.

    Zhang et al. 2019, "Lookahead Optimizer: k Steps Forward, 1 Step Back".

    Args:
        slow, fast: of one shape.
        alpha: 0-dim, at least 0.01 and at most 1.
    """
    return torch.lerp(slow, fast, alpha.to(slow.dtype))  # as the plain formula it would round at alpha = 1


class Lookahead(Regularizer):
    """After every k steps the slow weights go the share alpha of the way to the weights, which start anew from there.

    Args:
        alpha: at least 0.01 and at most 1; 1 is off, whatever k is.
        k: a whole number of at least 1; at its off value of 1 with alpha below 1 it still slows the weights down.
    """

    alpha = Strength(
        0.5, Search(0.2, 0.9), minimum=0.01, maximum=1.0, off=1.0, disables=True, effect="averaged weights"
    )
    k = Strength(5.0, Search(2.0, 10.0), minimum=1.0, off=1.0, whole=True, probe=1.0)
    memory_traffic: ClassVar = 0.8  # both in and out, every fifth step
    order: ClassVar = AVERAGE
    stackable: ClassVar = "it wraps the optimizer, and runs with different k would not meet at one step"

    def acts_within(self, steps: int, evaluations: int) -> bool:
        return float(self.k) <= steps

    def wrap_optimizer(self, optimizer: Optimizer) -> Optimizer:
        return Slowed(optimizer, self)


class Slowed(Wrapper):
    """The optimizer with slow weights, which travel in its state dict."""

    def __init__(self, base: Optimizer, method: Lookahead) -> None:
        super().__init__(base)
        self._method = method
        self.steps = 0
        self.slow: list[Tensor] = []

    def step(self, closure: Closure | None = None) -> Any:
        """One step of the base, and after every k of them one of the slow weights."""
        new = self.parameters[len(self.slow) :]  # all at first, later those of groups that were added since
        self.slow += [parameter.detach().clone() for parameter in new]
        loss = super().step(closure)
        self.steps += 1
        if self.steps % int(self._method.k) == 0:
            self._meet()
        return loss

    @torch.no_grad()
    def _meet(self) -> None:
        for slow, parameter in zip(self.slow, self.parameters, strict=True):
            slow.copy_(toward(slow, parameter, self._method.alpha))
            parameter.copy_(slow)

    def own_state(self) -> dict[str, Any]:
        """Slow weights in the order of the parameters, and the number of steps."""
        return {"slow": self.slow, "steps": self.steps}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Goes on from there."""
        self.steps = state["steps"]
        self.slow = [slow.to(p, copy=True) for slow, p in zip(state["slow"], self.parameters, strict=False)]
