"""Gradient clipping: gradients are scaled down to a maximum norm."""

import math
from typing import ClassVar

from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from reglab.regularizers._order import GRADIENT
from reglab.regularizers._wrapper import BeforeUpdate, Wrapper
from reglab.regularizers.base import Regularizer
from reglab.schema.constraints import ABOVE_0
from reglab.schema.strength import Search, Strength


def clip(parameters: list[Tensor], max_norm: float) -> Tensor:
    """Scale all gradients by min(1, max_norm / ‖g‖) in place, and return ‖g‖ before scaling, a scalar.

    ‖g‖ is the Euclidean norm of all gradients as one vector. Pascanu et al. 2013, "On the Difficulty of Training
    Recurrent Neural Networks".

    Args:
        parameters: parameters of any shapes; those without a gradient are ignored.
        max_norm: above 0; infinity does not change the gradients.
    """
    return clip_grad_norm_(parameters, max_norm)


class GradientClipping(Regularizer):
    """Limit the Euclidean norm of the gradient of all parameters to `max_norm`.

    Args:
        max_norm: above 0; infinity is off.
    """

    max_norm = Strength(
        1.0, Search(0.1, 10.0, log=True), minimum=ABOVE_0, off=math.inf, effect="gradient clipping", probe=1e-6
    )
    memory_traffic: ClassVar = 3.0  # gradient in for its norm, in and out
    order: ClassVar = GRADIENT
    stackable: ClassVar = "it wraps the optimizer, and the norm would be that of all runs of a stack"

    def wrap_optimizer(self, optimizer: Optimizer) -> Optimizer:
        # Parameters are read at each step, since groups may be added.
        def change() -> None:
            wrapper.gradients(self.name)  # raises a ConfigError for sparse gradients
            clip(wrapper.parameters, float(self.max_norm))

        wrapper: Wrapper = BeforeUpdate(optimizer, change)
        return wrapper
