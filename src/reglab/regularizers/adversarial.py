"""Adversarial training: examples are perturbed, within a small box, to increase their loss."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._autograd import input_gradient
from reglab.regularizers._norms import batch_norms, frozen_statistics
from reglab.regularizers._order import ADVERSARY
from reglab.regularizers.base import Batch, Regularizer, Step
from reglab.schema.strength import Search, Strength, coefficient
from reglab.schema.task_kinds import NUMERIC_INPUTS

STRIDE = 2.5  # length of all steps together in units of epsilon, enough to cross the box


def attacked(inputs: Tensor, gradient: Callable[[Tensor], Tensor], epsilon: Tensor, steps: int) -> Tensor:
    """Return the inputs after `steps` ascent steps by the sign of the gradient, each entry changed by at most epsilon.

    One step moves each entry by epsilon: the fast gradient sign method (Goodfellow, Shlens and Szegedy 2015,
    "Explaining and Harnessing Adversarial Examples"), which is the worst case on a linear model. More steps are
    projected gradient ascent with steps of 2.5 epsilon / steps from the inputs themselves (Madry et al. 2018, "Towards
    Deep Learning Models Resistant to Adversarial Attacks", who start at a random point).

    Args:
        inputs: any shape, floating point.
        gradient: function from inputs to the gradient of the loss with respect to them; only its signs are used.
        epsilon: 0-dim, at least 0, in units of the inputs.
        steps: at least 1.
    """
    perturbation = torch.zeros_like(inputs)
    for _ in range(steps):
        uphill = gradient(inputs + perturbation).sign()
        perturbation = (perturbation + STRIDE / steps * epsilon * uphill).clamp(-epsilon, epsilon)
    return inputs + perturbation


class Adversarial(Regularizer):
    """Train on `attacked` examples; evaluate on unchanged ones.

    The attack increases the loss of the task for the training labels, also mixed ones. Its passes draw the same masks
    as the training pass, and the state of the global generator is restored after them. Running statistics of batch
    normalization are not changed.

    Args:
        epsilon: at least 0, in units of the inputs (standard deviations of standardized inputs); 0 is off.
        steps: a whole number of at least 1; 1 is the fast gradient sign method.
    """

    epsilon = coefficient(0.1, 0.01, 0.3, disables=True, effect="adversarial examples")
    steps = Strength(1.0, Search(1.0, 5.0), minimum=1.0, maximum=1000.0, off=1.0, whole=True)
    order: ClassVar = ADVERSARY
    requires_task: ClassVar = (NUMERIC_INPUTS,)
    passes: ClassVar = 5 / 3  # a forward pass, and a backward pass to the inputs only, for one step
    stackable: ClassVar = "runs of a stack would need the same number of steps"

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._norms: list[Any] = []

    def attach(self, model: nn.Module) -> list[str]:
        self._norms = batch_norms(model)
        return ["inputs"]

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        if not self.epsilon:
            return batch
        inputs, targets = batch

        def gradient(point: Tensor) -> Tensor:
            point = point.detach().requires_grad_()
            with torch.random.fork_rng([point.device] if point.is_cuda else []):
                loss = step.criterion(step.model(point), targets)
            # The sum over rows, as gradients of a mean underflow to 0 in float16.
            return input_gradient(loss * len(point), point, self.name)

        with frozen_statistics(self._norms):
            return attacked(inputs, gradient, self.epsilon, int(self.steps)), targets
