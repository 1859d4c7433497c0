"""Gradient noise: normal noise on the gradients, with a decreasing variance."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from reglab.regularizers._order import GRADIENT
from reglab.regularizers._wrapper import BeforeUpdate
from reglab.regularizers.base import Regularizer
from reglab.schema.strength import coefficient

EXPONENT = 0.55  # best value in the paper


def noise_std(eta: Tensor, step: int) -> Tensor:
    """Return the standard deviation √(eta / (1 + step)^0.55) of the noise, 0-dim.

    Neelakantan et al. 2015, "Adding Gradient Noise Improves Learning for Very Deep Networks".

    Args:
        eta: variance at the first step, 0-dim, at least 0.
        step: number of the step, from 0.
    """
    return (eta / (1 + step) ** EXPONENT).sqrt()


class GradientNoise(Regularizer):
    """Add N(0, eta / (1 + t)^0.55) to all gradients before the update in step t, from 0.

    Args:
        eta: variance at the first step, at least 0; 0 is off.
    """

    eta = coefficient(0.01, 1e-6, 1.0, effect="gradient noise")
    memory_traffic: ClassVar = 4.0  # noise out and in, gradient in and out
    draws: ClassVar = "normal weights"
    order: ClassVar = GRADIENT
    stackable: ClassVar = "it wraps the optimizer, which has one strength for all runs of a stack"

    def wrap_optimizer(self, optimizer: Optimizer) -> Optimizer:
        return NoisyGradients(optimizer, self)


class NoisyGradients(BeforeUpdate):
    """Optimizer wrapper that adds noise to the gradients; its state dict contains the number of the step."""

    def __init__(self, base: Optimizer, method: GradientNoise) -> None:
        super().__init__(base, self._add_noise)
        self._method = method
        self.steps = 0

    def _add_noise(self) -> None:
        std = noise_std(self._method.eta, self.steps)
        for gradient in self.gradients(self._method.name):
            gradient.add_(torch.randn_like(gradient).mul_(std))

    def step(self, closure: Any = None) -> Any:
        """Take a step, counted once also if the closure is called several times."""
        loss = super().step(closure)
        self.steps += 1
        return loss

    def own_state(self) -> dict[str, Any]:
        """Return the number of steps taken."""
        return {"steps": self.steps}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Load the number of steps taken."""
        self.steps = state["steps"]
