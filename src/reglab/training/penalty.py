"""What a regularizer adds to the loss, found where nothing but the weights is known."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from reglab.regularizers.base import Regularizer, Weights, penalized
from reglab.schema.errors import ConfigError, Setting


class Penalty:
    """The penalty that a regularizer's `loss` adds on weights, apart from any batch.

    Args:
        regularizer: attached to the model.
        model: whose weights it sees.
        owned: identities of the parameters that the optimizer has now; others are not penalized.

    Raises:
        ConfigError: its `loss` sees more than the weights, or does not add to the loss.
    """

    def __init__(self, regularizer: Regularizer, model: nn.Module, owned: Callable[[], set[int]]) -> None:
        self._regularizer = regularizer
        self._step: Any = _WeightsAlone(model, owned)
        self._device = next(model.parameters()).device
        try:
            alone = float(self._made_of(0.0).detach())
            added = max(1.0, abs(alone))  # of the penalty's size, or it would be lost in rounding
            together = float(self._made_of(added).detach())
        except _NotThereError as error:
            raise ConfigError(refusal(regularizer, f"has to see {error}")) from None
        except Exception as error:  # what a forward pass would have left is not there
            if weights := [] if self._step.weights else list(regularizer.weights(model)):
                names = ", ".join(weights[:3])
                raise ConfigError(
                    Setting("regularizer", regularizer.name),
                    f"the optimizer has none of the weights that it acts on ({names})",
                    "give them to it in configure_optimizers, name another module, or leave it out",
                ) from error
            raise ConfigError(refusal(regularizer, "has to see the forward pass")) from error
        if not math.isclose(together - alone, added, rel_tol=1e-3):
            raise ConfigError(refusal(regularizer, "has to change the loss itself"))

    @torch.enable_grad()
    def backward(self) -> None:
        """Adds its gradients to those of the weights.

        Raises:
            ConfigError: they go through a forward pass.
        """
        penalty = self._made_of(0.0)
        try:
            if penalty.requires_grad:
                penalty.backward()
        except RuntimeError as error:  # of the graph of a forward pass that is over
            raise ConfigError(refusal(self._regularizer, "has to see the forward pass")) from error

    def _made_of(self, loss: float) -> Tensor:
        return self._regularizer.loss(torch.tensor(loss, device=self._device), self._step)


def refusal(regularizer: Regularizer, why: str) -> str:
    """One line for a regularizer that needs more than a callback has."""
    return f"regularizer={regularizer.name}: cannot work as a callback, for it {why}"


class _NotThereError(Exception):
    """What a callback does not have."""


class _WeightsAlone:
    """A step of which nothing but the weights is known."""

    def __init__(self, model: nn.Module, owned: Callable[[], set[int]]) -> None:
        self.model = model
        self._owned = owned

    @property
    def weights(self) -> Weights:
        owned = self._owned()
        return {name: weight for name, weight in penalized(self.model).items() if id(weight) in owned}

    def __getattr__(self, name: str) -> Any:
        raise _NotThereError({"outputs": "the model's outputs", "batch": "the batch"}.get(name, f"the {name}"))
