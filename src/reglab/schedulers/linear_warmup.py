"""Linear warm-up of the learning rate, then a constant rate, a linear decay or a cosine decay."""

import math
from typing import ClassVar

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from reglab.schema.constraints import BELOW_1, Constraints, OneOf, Real


def factor(step: int, total: int, warmup: int, decay: str) -> float:
    """Return the factor of the learning rate in a step.

    Args:
        step: number of the step, from 0.
        total: steps of the training.
        warmup: steps of the warm-up; the factor in step s of them is (s + 1) / (warmup + 1).
        decay: ``none``, ``linear`` or ``cosine``, from 1 after the warm-up to 0 after the last step.

    >>> [factor(step, 6, 2, "linear") for step in range(6)]
    [0.3333333333333333, 0.6666666666666666, 1.0, 0.75, 0.5, 0.25]
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if decay == "none":
        return 1.0
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return 1 - done if decay == "linear" else (1 + math.cos(math.pi * done)) / 2


class LinearWarmup(LambdaLR):
    """Multiply the learning rate by `factor`, step by step.

    Goyal et al. 2017, "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour".

    Args:
        optimizer: the optimizer whose learning rates are scheduled.
        total_steps: number of steps of the training.
        warmup: share of the steps, at least 0 and below 1.
        decay: ``none``, ``linear`` or ``cosine``.
    """

    constraints: ClassVar[Constraints] = {
        "warmup": Real(0.0, BELOW_1),
        "decay": OneOf("none", "linear", "cosine"),
    }

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.1, decay: str = "none") -> None:
        steps = round(warmup * total_steps)
        super().__init__(optimizer, lambda step: factor(step, total_steps, steps, decay))
