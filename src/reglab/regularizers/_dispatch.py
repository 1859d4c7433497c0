"""Hands the weights to the regularizers at their moments: around the optimizer, and after it."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from reglab.regularizers._wrapper import BeforeUpdate
from reglab.regularizers.base import Regularizer


def overrides(regularizer: nn.Module, hook: str) -> bool:
    """Whether the regularizer's class has its own version of a hook."""
    return getattr(type(regularizer), hook) is not getattr(Regularizer, hook)


class Dispatch:
    """The hooks of several regularizers on the weights of a model; only those that override one are called.

    Args:
        regularizers: in the order in which they act; attached to the model.
        model: whose weights they change.
    """

    def __init__(self, regularizers: Iterable[Any], model: nn.Module) -> None:
        self._all = list(regularizers)
        self._model = model
        self._before = [r for r in self._all if overrides(r, "before_step")]
        self._after = [r for r in self._all if overrides(r, "after_step")]
        self._penalties = [r for r in self._all if overrides(r, "penalty")]

    def wrapped(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimizer with what regularizers put around it: the one that acts first is the outermost."""
        if self._before:  # innermost: right before the update, once, however many passes a step has
            inner = optimizer
            optimizer = BeforeUpdate(
                inner, lambda: self._change(self._before, "before_step", inner.param_groups[0]["lr"])
            )
        for regularizer in reversed(self._all):
            optimizer = regularizer.wrap_optimizer(optimizer)
        return optimizer

    def after_step(self, lr: float) -> None:
        """What comes after the optimizer.

        Args:
            lr: see `effective_lr`, as it was in that step.
        """
        if self._after:
            self._change(self._after, "after_step", lr)

    @torch.no_grad()
    def penalty(self) -> float:
        """The sum of the penalties on the weights as they are."""
        total = 0.0
        for regularizer in self._penalties:
            penalty: Tensor | None = regularizer.penalty(regularizer.weights(self._model))
            total += 0.0 if penalty is None else float(penalty)
        return total

    @torch.no_grad()
    def _change(self, regularizers: list[Any], hook: str, lr: float) -> None:
        for regularizer in regularizers:
            weights = regularizer.weights(self._model)
            for name, new in getattr(regularizer, hook)(weights, lr).items():
                if new is not weights[name]:
                    _replace(weights[name], new)


def _replace(weight: Tensor, new: Tensor) -> None:
    """Without a copy, which of a large weight takes as long as the method, where its memory is nobody else's."""
    if weight.untyped_storage().nbytes() == weight.nbytes:
        weight.data = new
    else:  # a part of a larger block, as cuDNN wants the weights of a recurrent layer
        weight.copy_(new)


def effective_lr(optimizer: Any) -> float:
    """The step along a constant gradient: with it a proximal step has the minimum of its penalty.

    lr for most; lr / (1 - momentum) for SGD with momentum, whose updates add up to that (with dampening, less).
    """
    group = optimizer.param_groups[0]
    momentum = group.get("momentum", 0.0) or 0.0
    return float(group["lr"]) * (1.0 - group.get("dampening", 0.0) * (momentum > 0)) / (1.0 - momentum)
