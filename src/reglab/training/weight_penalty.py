"""Penalties on weights without a forward pass, and the error for regularizers that need more."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from reglab.regularizers.base import Regularizer, Weights, penalized
from reglab.schema.errors import ConfigError, Setting


def unsupported_as_callback(regularizer: Regularizer, reason: str, remedy: str = "") -> ConfigError:
    """Return the error for a regularizer that needs more than a Lightning callback has.

    Args:
        regularizer: the regularizer.
        reason: completes the sentence "it ...".
        remedy: see `ConfigError`.
    """
    problem = f"cannot work as a callback, because it {reason}"
    return ConfigError(Setting("regularizer", regularizer.name), problem, remedy)


class WeightPenalty:
    """Penalty that a regularizer's `loss` adds for the weights, independent of the batch.

    Args:
        regularizer: attached to the model.
        model: model with the weights.
        owned: returns the identities of the parameters of the optimizer; others are not penalized.

    Raises:
        ConfigError: `loss` depends on more than the weights, or does not add to the loss; or the
            optimizer has none of the weights.
    """

    def __init__(self, regularizer: Regularizer, model: nn.Module, owned: Callable[[], set[int]]) -> None:
        self._regularizer = regularizer
        self._step: Any = _StepWithoutBatch(model, owned)
        self._device = next(model.parameters()).device
        try:
            penalty = float(self._add_to(0.0).detach())
            loss = max(1.0, abs(penalty))  # about the size of the penalty, so that rounding does not hide it
            total = float(self._add_to(loss).detach())
        except _MissingInputError as error:
            raise unsupported_as_callback(regularizer, f"needs {error}") from None
        except Exception as error:  # it reads results of a forward pass
            if weights := [] if self._step.weights else list(regularizer.weights(model)):
                names = ", ".join(weights[:3])
                raise ConfigError(
                    Setting("regularizer", regularizer.name),
                    f"the optimizer has none of the weights that it acts on ({names})",
                    "pass them to it in configure_optimizers, name another module, or leave out the regularizer",
                ) from error
            raise unsupported_as_callback(regularizer, "needs the forward pass") from error
        if not math.isclose(total - penalty, loss, rel_tol=1e-3):
            raise unsupported_as_callback(regularizer, "has to change the loss itself")

    @torch.enable_grad()
    def backward(self) -> None:
        """Add the gradients of the penalty to those of the weights.

        Raises:
            ConfigError: the penalty depends on a forward pass.
        """
        penalty = self._add_to(0.0)
        try:
            if penalty.requires_grad:
                penalty.backward()
        except RuntimeError as error:  # the graph of an earlier forward pass is freed
            raise unsupported_as_callback(self._regularizer, "needs the forward pass") from error

    def _add_to(self, loss: float) -> Tensor:
        return self._regularizer.loss(torch.tensor(loss, device=self._device), self._step)


class _MissingInputError(Exception):
    """A regularizer reads an input that a callback does not have."""


class _StepWithoutBatch:
    """Step that has the weights of a model, but no batch and no outputs."""

    def __init__(self, model: nn.Module, owned: Callable[[], set[int]]) -> None:
        self.model = model
        self._owned = owned

    @property
    def weights(self) -> Weights:
        owned = self._owned()
        return {name: weight for name, weight in penalized(self.model).items() if id(weight) in owned}

    def __getattr__(self, name: str) -> Any:
        raise _MissingInputError({"outputs": "the model's outputs", "batch": "the batch"}.get(name, f"the {name}"))
