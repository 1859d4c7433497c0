"""Calls of the hooks of regularizers on weights: before, around and after the step of the optimizer."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reglab.compat.torch import unscales_gradients
from reglab.regularizers._wrapper import BeforeUpdate, UpdateCounter, Wrapper
from reglab.regularizers.base import Regularizer
from reglab.schema.errors import ConfigError, Setting

Rates = Sequence[tuple[set[int], float]]
"""For each parameter group the ids of its parameters, and its step size."""


def overrides(regularizer: nn.Module, hook: str) -> bool:
    """Return whether the class of the regularizer overrides a hook of `Regularizer`."""
    return getattr(type(regularizer), hook) is not getattr(Regularizer, hook)


class Dispatch:
    """The hooks of several regularizers on the weights of a model; only those that override one are called.

    Args:
        regularizers: in the order in which they act; attached to the model.
        model: model whose weights they change.
    """

    def __init__(self, regularizers: Iterable[Any], model: nn.Module) -> None:
        self._all = list(regularizers)
        self._model = model
        self._before = [r for r in self._all if overrides(r, "before_step")]
        self._after = [r for r in self._all if overrides(r, "after_step")]
        self._penalties = [r for r in self._all if overrides(r, "penalty")]
        self._updates: UpdateCounter | None = None
        self._counted_updates = 0  # updates counted so far

    def wrapped(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Return the optimizer with the wrappers of the regularizers; the wrapper of the first one is the outermost."""
        check_gradients(type(optimizer), self._all)
        plain = optimizer
        self._updates = UpdateCounter(plain)
        if self._before:  # innermost: once per update, also if a step has several passes
            optimizer = BeforeUpdate(plain, lambda: self._change(self._before, "before_step", _rates(plain, _lr)))
        for regularizer in reversed(self._all):
            optimizer = regularizer.wrap_optimizer(optimizer)
        if optimizer is not plain and isinstance(plain, torch.optim.LBFGS):
            names = ", ".join(regularizer.name for regularizer in self._all)
            raise ConfigError(
                Setting("optimizer", "LBFGS"),
                f"takes several passes per step, which {names} does not support",
                "choose another optimizer",
            )
        if optimizer is plain and unscales_gradients(plain):
            return Wrapper(plain)  # else a GradScaler would leave unscaling to the update
        return optimizer

    def after_step(self, rates: Rates) -> None:
        """Call the hooks after a step of the optimizer; do nothing if a GradScaler skipped the step.

        Args:
            rates: `effective_rates` in that step.
        """
        updates = self._updates
        if self._after and (updates is None or not updates.countable or updates.count != self._counted_updates):
            self._counted_updates = 0 if updates is None else updates.count
            self._change(self._after, "after_step", rates)

    @torch.no_grad()
    def penalty(self) -> float:
        """Return the sum of the penalties on the current weights."""
        total = 0.0
        for regularizer in self._penalties:
            penalty: Tensor | None = regularizer.penalty(regularizer.weights(self._model))
            total += 0.0 if penalty is None else float(penalty)
        return total

    @torch.no_grad()
    def _change(self, regularizers: list[Any], hook: str, rates: Rates) -> None:
        """Call a hook of each regularizer on the weights of each parameter group, and copy the new weights."""
        for regularizer in regularizers:
            weights = regularizer.weights(self._model)
            for owned, lr in rates:  # weights outside of all groups are not changed
                group = {name: weight for name, weight in weights.items() if id(weight) in owned}
                for name, new in getattr(regularizer, hook)(group, lr).items() if group else ():
                    if new is not group[name]:
                        group[name].copy_(new)


def check_gradients(optimizer: type[torch.optim.Optimizer], regularizers: Iterable[Any]) -> None:
    """Check that no penalty is combined with an optimizer that supports sparse gradients only.

    Args:
        optimizer: class of the optimizer.
        regularizers: regularizers of the training.

    Raises:
        ConfigError: names the first penalty.
    """
    penalties = [r for r in regularizers if overrides(r, "penalty") and overrides(r, "loss")]
    if penalties and issubclass(optimizer, torch.optim.SparseAdam):
        raise ConfigError(
            Setting("regularizer", penalties[0].name),
            f"adds dense gradients; optimizer={optimizer.__name__} supports sparse gradients only",
            "choose another optimizer (torch.optim.SGD supports both), or a method that acts after the step "
            "(l1, weight_decay, max_norm)",
        )


def effective_rates(optimizer: Any) -> Rates:
    """Return the step size of each group along a constant gradient, which scales proximal steps.

    lr for most optimizers; lr · (1 - dampening) / (1 - momentum) for SGD with momentum.
    """
    return _rates(optimizer, _effective_lr)


def _rates(optimizer: Any, rate: Callable[[dict[str, Any]], float]) -> Rates:
    return [({id(parameter) for parameter in group["params"]}, rate(group)) for group in optimizer.param_groups]


def _lr(group: dict[str, Any]) -> float:
    return float(group["lr"])


def _effective_lr(group: dict[str, Any]) -> float:
    momentum = group.get("momentum", 0.0) or 0.0
    return _lr(group) * (1.0 - group.get("dampening", 0.0) * (momentum > 0)) / (1.0 - momentum)
