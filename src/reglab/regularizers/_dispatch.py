"""Hands the weights to the regularizers at their moments: around the optimizer, and after it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reglab.compat.torch import unscales_gradients
from reglab.regularizers._wrapper import BeforeUpdate, Updates, Wrapper
from reglab.regularizers.base import Regularizer
from reglab.schema.errors import ConfigError, Setting

Rates = Sequence[tuple[set[int], float]]
"""Of each parameter group the identities of its parameters, and how far its steps go."""


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
        self._updates: Updates | None = None
        self._seen = 0  # of the updates

    def wrapped(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimizer with what regularizers put around it: the one that acts first is the outermost."""
        check_gradients(type(optimizer), self._all)
        plain = optimizer
        self._updates = Updates(plain)
        if self._before:  # innermost: right before the update, once, however many passes a step has
            optimizer = BeforeUpdate(plain, lambda: self._change(self._before, "before_step", _rates(plain, _lr)))
        for regularizer in reversed(self._all):
            optimizer = regularizer.wrap_optimizer(optimizer)
        if optimizer is not plain and isinstance(plain, torch.optim.LBFGS):
            names = ", ".join(regularizer.name for regularizer in self._all)
            raise ConfigError(
                Setting("optimizer", "LBFGS"),
                f"takes several passes a step, and so does not fit {names}",
                "choose another",
            )
        if optimizer is plain and unscales_gradients(plain):
            return Wrapper(plain)  # a GradScaler would leave gradients scaled, and infinite ones to the update itself
        return optimizer

    def after_step(self, rates: Rates) -> None:
        """What comes after the optimizer; nothing where the step was skipped.

        Args:
            rates: see `effective_rates`, as they were in that step.
        """
        updates = self._updates
        if self._after and (updates is None or not updates.known or updates.count != self._seen):
            self._seen = 0 if updates is None else updates.count
            self._change(self._after, "after_step", rates)

    @torch.no_grad()
    def penalty(self) -> float:
        """The sum of the penalties on the weights as they are."""
        total = 0.0
        for regularizer in self._penalties:
            penalty: Tensor | None = regularizer.penalty(regularizer.weights(self._model))
            total += 0.0 if penalty is None else float(penalty)
        return total

    @torch.no_grad()
    def _change(self, regularizers: list[Any], hook: str, rates: Rates) -> None:
        for regularizer in regularizers:
            weights = regularizer.weights(self._model)
            for owned, lr in rates:  # weights of no group are nobody's to change
                group = {name: weight for name, weight in weights.items() if id(weight) in owned}
                for name, new in getattr(regularizer, hook)(group, lr).items() if group else ():
                    if new is not group[name]:
                        group[name].copy_(new)


def check_gradients(optimizer: type[torch.optim.Optimizer], regularizers: Iterable[Any]) -> None:
    """Refuse penalties under an optimizer for sparse gradients alone.

    Args:
        optimizer: class of the optimizer.
        regularizers: of the training.

    Raises:
        ConfigError: names the first of them.
    """
    penalties = [r for r in regularizers if overrides(r, "penalty") and overrides(r, "loss")]
    if penalties and issubclass(optimizer, torch.optim.SparseAdam):
        raise ConfigError(
            Setting("regularizer", penalties[0].name),
            f"adds dense gradients, and optimizer={optimizer.__name__} takes sparse ones alone",
            "choose another optimizer (torch.optim.SGD takes both), or a method that acts after the step "
            "(l1, weight_decay, max_norm)",
        )


def effective_rates(optimizer: Any) -> Rates:
    """The step of each group along a constant gradient: with it a proximal step has the minimum of its penalty.

    lr for most; lr / (1 - momentum) for SGD with momentum, whose updates add up to that (with dampening, less).
    """
    return _rates(optimizer, _effective_lr)


def _rates(optimizer: Any, rate: Callable[[dict[str, Any]], float]) -> Rates:
    return [({id(parameter) for parameter in group["params"]}, rate(group)) for group in optimizer.param_groups]


def _lr(group: dict[str, Any]) -> float:
    return float(group["lr"])


def _effective_lr(group: dict[str, Any]) -> float:
    momentum = group.get("momentum", 0.0) or 0.0
    return _lr(group) * (1.0 - group.get("dampening", 0.0) * (momentum > 0)) / (1.0 - momentum)
