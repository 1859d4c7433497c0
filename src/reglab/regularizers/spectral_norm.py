"""Spectral norm: every weight matrix is divided by its largest singular value."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from reglab.regularizers._order import GRADIENT
from reglab.regularizers._wrapper import BeforeUpdate
from reglab.regularizers.base import Regularizer, Weights

FIRST_ITERATIONS = 100


def iterated(weight: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One power iteration towards the largest singular value: that value, 0-dim, and its left and right vectors.

    The value is leftᵀ W right of the new vectors, which approaches the largest one from below. Where it is 0, as for
    zero weights, the old vectors come back, for from zero vectors no iteration would find its way.

    Args:
        weight: (output units, ...), flattened to (output units, inputs): a filter is a row.
        left: (output units,), of length 1.
        right: (inputs,), of length 1.
    """
    matrix = weight.flatten(1)
    with torch.autocast(weight.device.type, enabled=False):  # bfloat16 would get the value within 1 / 256 only
        image = matrix @ right
        length = torch.linalg.vector_norm(image)
        left = torch.where(length > 0, image / length, left)
        back = matrix.T @ left
        value = torch.linalg.vector_norm(back)
    return value, left, torch.where(value > 0, back / value, right)


def along(gradient: Tensor, weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """The gradient of L(W / σ(W)), where that of L is given and σ(W) = leftᵀ W right is 1: G - ⟨G, W⟩ · left rightᵀ.

    Args:
        gradient: of L at the weight, of its shape; overwritten by what is returned.
        weight: (output units, ...).
        left: (output units,), of length 1.
        right: (inputs,), of length 1.
    """
    with torch.autocast(weight.device.type, enabled=False):
        product = torch.dot(gradient.flatten(), weight.flatten())
    column = (left * -product).reshape(-1, *[1] * (weight.ndim - 1))
    return gradient.addcmul_(column, right.reshape(weight.shape[1:]))


class SpectralNorm(Regularizer):
    """Training is over W / σ₁(W) of every weight matrix, in training and in evaluation, and that is what is saved.

    The model holds the divided matrix itself: it is divided when attached and after each step, and each step takes the
    gradient through the division, without which it need not lead downhill. This is Miyato et al. 2018, "Spectral
    Normalization for Generative Adversarial Networks", with one power iteration a step, except that they keep an
    undivided W, whose growth shrinks the steps (by σ² under SGD).
    """

    acts: ClassVar = GRADIENT  # inside SAM, whose two passes make one gradient; after all that changes weights
    conflicts: ClassVar = {
        "max_norm": "a largest singular value of 1 holds rows to 1, and dividing by it would undo a lower limit",
        "weight_decay": "dividing by the largest singular value undoes it",
    }
    stackable: ClassVar = "it keeps singular vectors from step to step, beside the optimizer"

    def __init__(self) -> None:
        super().__init__()
        self._weights: list[Tensor] = []

    @torch.no_grad()
    def attach(self, model: nn.Module) -> list[str]:
        weights = self.weights(model)
        self._weights = list(weights.values())
        for i, weight in enumerate(self._weights):
            sides = len(weight), weight[0].numel()
            # Any vectors would do, unless they are at right angles to what is sought. Not from the global generator:
            # nobody else's numbers are to move.
            generator = torch.Generator().manual_seed(0)
            left, right = (torch.randn(side, generator=generator, dtype=torch.float64) for side in sides)
            self.register_buffer(f"left_{i}", (left / left.norm()).to(weight), persistent=False)
            self.register_buffer(f"right_{i}", (right / right.norm()).to(weight), persistent=False)
            for _ in range(FIRST_ITERATIONS):
                value = self._iterate(i, weight)
            weight.copy_(_divided(weight, value))
        return list(weights)

    def vectors(self, i: int) -> tuple[Tensor, Tensor]:
        """The left and the right singular vector of weight number i."""
        return self.get_buffer(f"left_{i}"), self.get_buffer(f"right_{i}")

    def take_along(self) -> None:
        """Makes the gradients of the weights those of the loss of the divided weights."""
        for i, weight in enumerate(self._weights):
            if weight.grad is not None:
                along(weight.grad, weight, *self.vectors(i))

    def after_step(self, weights: Weights, lr: float) -> Weights:
        return {name: _divided(weight, self._iterate(i, weight)) for i, (name, weight) in enumerate(weights.items())}

    def wrap_optimizer(self, optimizer: Optimizer) -> Optimizer:
        return AlongDivided(optimizer, self)

    def _iterate(self, i: int, weight: Tensor) -> Tensor:
        left, right = self.vectors(i)
        value, new_left, new_right = iterated(weight, left, right)
        left.copy_(new_left)
        right.copy_(new_right)
        return value


def _divided(weight: Tensor, value: Tensor) -> Tensor:
    return weight / torch.where(value > 0, value, 1.0)


class AlongDivided(BeforeUpdate):
    """The optimizer with gradients through the division; the singular vectors travel in its state dict."""

    def __init__(self, base: Optimizer, method: SpectralNorm) -> None:
        super().__init__(base, method.take_along)
        self._method = method

    def own_state(self) -> dict[str, Any]:
        """The singular vectors: with others a resumed run would divide by a slightly different value."""
        return {"vectors": dict(self._method.named_buffers())}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Goes on with them."""
        for name, vector in state["vectors"].items():
            self._method.get_buffer(name).copy_(vector)
