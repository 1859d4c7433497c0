"""Adversarial training: every example is moved, within a small box, to where the network does badly."""

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

STRIDE = 2.5  # of all steps together, in units of epsilon: enough to reach any side of the box from any other


def attacked(inputs: Tensor, gradient: Callable[[Tensor], Tensor], epsilon: Tensor, steps: int) -> Tensor:
    """Inputs after `steps` steps uphill by the sign of the gradient, each entry at most epsilon from where it was.

    One step moves each entry by epsilon: the fast gradient sign method (Goodfellow, Shlens and Szegedy 2015,
    "Explaining and Harnessing Adversarial Examples"), which on a linear model finds the worst there is. More are
    projected gradient ascent with steps of 2.5 epsilon / steps from the inputs themselves (Madry et al. 2018, "Towards
    Deep Learning Models Resistant to Adversarial Attacks", who start at a random point).

    Args:
        inputs: any shape, floating point.
        gradient: from inputs to the loss's gradient by them; of it the signs count.
        epsilon: 0-dim, at least 0, in units of the inputs.
        steps: at least 1.
    """
    moved = torch.zeros_like(inputs)
    for _ in range(steps):
        uphill = gradient(inputs + moved).sign()
        moved = (moved + STRIDE / steps * epsilon * uphill).clamp(-epsilon, epsilon)
    return inputs + moved


class Adversarial(Regularizer):
    """Trains on `attacked` examples in place of the batch's own; evaluation sees clean ones.

    The attack climbs the task's loss on the labels as they are trained on, mixed ones too. Each of its passes draws
    the masks that the training pass will draw: it works against the very network that is trained, and the global
    generator is left as if there had been none. Running statistics of batch normalization stay as they are.

    Args:
        epsilon: at least 0, in units of the inputs: after standardization 1 = their own spread; 0 is off.
        steps: a whole number of at least 1; 1 is the fast gradient sign method.
    """

    epsilon = coefficient(0.1, 0.01, 0.3, disables=True, effect="adversarial examples")
    steps = Strength(1.0, Search(1.0, 5.0), minimum=1.0, maximum=1000.0, off=1.0, whole=True)
    order: ClassVar = ADVERSARY
    requires_task: ClassVar = (NUMERIC_INPUTS,)
    passes: ClassVar = 5 / 3  # one step's forward pass and its way back to the inputs alone
    stackable: ClassVar = "runs of a stack would all have to take the same number of steps"

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

        def gradient(at: Tensor) -> Tensor:
            at = at.detach().requires_grad_()
            with torch.random.fork_rng([at.device] if at.is_cuda else []):
                loss = step.criterion(step.model(at), targets)
            # The sum over rows: in float16 a mean's gradients become 0, which have no sign.
            return input_gradient(loss * len(at), at, self.name)

        with frozen_statistics(self._norms):
            return attacked(inputs, gradient, self.epsilon, int(self.steps)), targets
