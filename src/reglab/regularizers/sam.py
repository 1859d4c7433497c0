"""Sharpness-aware minimization: the gradient is computed where the loss near the weights is highest."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from reglab.compat.torch import NormBase
from reglab.regularizers._norms import batch_norms, frozen_statistics
from reglab.regularizers._order import SECOND_PASS
from reglab.regularizers._wrapper import Closure, Wrapper
from reglab.regularizers.base import Regularizer
from reglab.schema.compatibility import accumulation_error
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.strength import coefficient


def ascent(gradients: list[Tensor], rho: Tensor) -> list[Tensor]:
    """Return rho · g / ‖g‖ for each tensor, with ‖g‖ the Euclidean norm of all of them as one vector.

    Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization".

    Args:
        gradients: gradients of any shapes; zeros give zeros.
        rho: length of the step, 0-dim, at least 0.
    """
    scale = rho / get_total_norm(gradients).clamp_min(1e-12)
    return [gradient * scale for gradient in gradients]


class SAM(Regularizer):
    """Update w with the gradient at w + rho · g / ‖g‖: two passes per step, with the same masks.

    Running statistics of batch normalization are updated by the first pass only, at w.

    Args:
        rho: at least 0; 0 is off, at the cost of two passes.
    """

    rho = coefficient(0.05, 0.01, 0.2, effect="flat minima")
    order: ClassVar = SECOND_PASS
    memory_traffic: ClassVar = 6.0  # gradient in for its norm; gradient and w in, w out; and back
    passes: ClassVar = 2.0
    supports_accumulation: ClassVar = False
    stackable: ClassVar = "it wraps the optimizer and calls the closure twice"

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._norms: list[NormBase] = []

    def attach(self, model: nn.Module) -> list[str]:
        self._norms = batch_norms(model)
        return super().attach(model)

    def wrap_optimizer(self, optimizer: Optimizer) -> Optimizer:
        return SharpnessAware(optimizer, self, self._norms)


class SharpnessAware(Wrapper):
    """Optimizer wrapper with gradients of the second pass.

    Args:
        base: the optimizer to wrap.
        method: regularizer with the buffer `rho`.
        norms: batch normalizations whose running statistics the second pass does not update.

    Raises:
        ConfigError: from `step`, if the closure cannot be called twice for the gradient of one batch.
    """

    def __init__(self, base: Optimizer, method: SAM, norms: list[NormBase]) -> None:
        super().__init__(base)
        self._method = method
        self._norms = norms
        self._zeroed = False

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of the base; a closure that does not call this method cannot be called twice."""
        self._zeroed = True
        super().zero_grad(set_to_none)

    def step(self, closure: Closure | None = None) -> Any:
        """Call the closure at the weights, then take a step of the base with the closure at the perturbed weights."""
        if closure is None:  # as a GradScaler calls it
            raise ConfigError(
                Setting("regularizer", "sam"),
                "needs two passes a step",
                "choose trainer.precision=bf16-mixed, not 16-mixed",
            )
        self._zeroed = False
        devices = {parameter.device for parameter in self.parameters if parameter.is_cuda}
        with torch.enable_grad(), torch.random.fork_rng(devices):  # so that the second pass draws the same masks
            closure()
        if not self._zeroed:
            raise accumulation_error("sam")
        perturbed = [parameter for parameter in self.parameters if parameter.grad is not None]
        gradients = self.gradients(self._method.name)
        originals = [parameter.detach().clone() for parameter in perturbed]
        with torch.no_grad():
            for parameter, uphill in zip(perturbed, ascent(gradients, self._method.rho), strict=True):
                parameter.add_(uphill)

        def second_pass() -> Any:
            try:
                with frozen_statistics(self._norms):
                    return closure()
            finally:
                with torch.no_grad():  # from copies, as w + e - e is not w in floating point
                    for parameter, weight in zip(perturbed, originals, strict=True):
                        parameter.copy_(weight)

        return self.base.step(second_pass)
