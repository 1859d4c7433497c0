"""Spectral norm: weight matrices are divided by their largest singular value."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from reglab.regularizers._layouts import Layout, UnitWise
from reglab.regularizers._order import DIVISION
from reglab.regularizers._wrapper import BeforeUpdate, dense
from reglab.regularizers.base import Weights, penalized

FIRST_ITERATIONS = 100


def power_iteration(weight: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the largest singular value (0-dim) and its left and right vectors after one more power iteration.

    The value leftᵀ W right approaches the largest singular value from below. If it is 0, as for zero weights, the old
    vectors are returned, since iterations cannot continue from zero vectors.

    Args:
        weight: (output units, ...), flattened to (output units, inputs): a filter is a row.
        left: (output units,), of length 1.
        right: (inputs,), of length 1.
    """
    matrix = weight.flatten(1)
    with torch.autocast(weight.device.type, enabled=False):  # bfloat16 has a precision of 1 / 256
        image = matrix @ right
        length = torch.linalg.vector_norm(image)
        left = torch.where(length > 0, image / length, left)
        back = matrix.T @ left
        value = torch.linalg.vector_norm(back)
    return value, left, torch.where(value > 0, back / value, right)


def gradient_through_division(gradient: Tensor, weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Return the gradient of L(W / σ(W)) for σ(W) = leftᵀ W right = 1: G - ⟨G, W⟩ · left rightᵀ.

    Args:
        gradient: G, the gradient of L at the weight, of its shape; overwritten by the result.
        weight: (output units, ...).
        left: (output units,), of length 1.
        right: (inputs,), of length 1.
    """
    with torch.autocast(weight.device.type, enabled=False):
        product = torch.dot(gradient.flatten(), weight.flatten())
    column = (left * -product).reshape(-1, *[1] * (weight.ndim - 1))
    return gradient.addcmul_(column, right.reshape(weight.shape[1:]))


class SpectralNorm(UnitWise):
    """Divide each weight matrix by its largest singular value σ₁, when attached and after each step.

    The parameters are the divided matrices in training, in evaluation and in saved models. Gradients are propagated
    through the division; otherwise a step may increase the loss. This is Miyato et al. 2018, "Spectral
    Normalization for Generative Adversarial Networks", with one power iteration per step, except that they keep
    an undivided W, whose growth shrinks the steps (by σ² under SGD).

    Gates of a recurrent layer and queries, keys and values are separate matrices; the groups of a convolution are
    blocks of one matrix (see `Layout`).
    """

    # w in for two products, in and out for the division; w, gradient in, gradient in, out
    memory_traffic: ClassVar = 8.0
    order: ClassVar = DIVISION  # inside SAM, which computes one gradient from two passes; after all changes of weights
    conflicts: ClassVar = {
        "max_norm": "a largest singular value of 1 limits rows to norm 1, and the division undoes a lower limit",
        "weight_decay": "dividing by the largest singular value undoes it",
    }
    stackable: ClassVar = "it keeps singular vectors from step to step, beside the optimizer"

    def __init__(self) -> None:
        super().__init__()
        self._model: tuple[nn.Module, ...] = ()
        self._numbers: dict[str, int] = {}  # weight name to the number in its buffer names, which cannot contain dots

    @torch.no_grad()
    def attach(self, model: nn.Module) -> list[str]:
        self._model = (model,)  # in a tuple, so that it is not registered as a submodule
        self._numbers.clear()
        names = super().attach(model)
        for name, weight, layout in self.laid_out(penalized(model)):
            weight.copy_(self._divided(name, weight, layout))
        return names

    def vectors(self, name: str) -> tuple[Tensor, Tensor]:
        """Return the left and right singular vectors of a weight, (output units,) and (inputs,), or of each block."""
        number = self._numbers[name]
        return self.get_buffer(f"left_{number}"), self.get_buffer(f"right_{number}")

    def all_vectors(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return the `vectors` of all weights so far, by name."""
        return {name: self.vectors(name) for name in self._numbers}

    def store_vectors(self, name: str, left: Tensor, right: Tensor) -> None:
        """Store the `vectors` of the weight, on its device."""
        weight = self._model[0].get_parameter(name)
        number = self._numbers.setdefault(name, len(self._numbers))
        self.register_buffer(f"left_{number}", left.to(weight, copy=True), persistent=False)
        self.register_buffer(f"right_{number}", right.to(weight, copy=True), persistent=False)

    def replace_gradients(self) -> None:
        """Replace the gradients at the divided weights by those through the division."""
        for name, weight, layout in self.laid_out(penalized(*self._model)):
            if name not in self._numbers or weight.grad is None:  # a weight that was frozen until now
                continue
            dense(weight.grad, self.name)
            if layout.axis == 0 and layout.blocks == 1:
                gradient_through_division(weight.grad, weight, *self.vectors(name))
            else:
                weight.grad.copy_(_gradient_in_blocks(weight.grad, weight, layout, *self.vectors(name)))

    def after_step(self, weights: Weights, lr: float) -> Weights:
        return {name: self._divided(name, weight, layout) for name, weight, layout in self.laid_out(weights)}

    def wrap_optimizer(self, optimizer: Optimizer) -> Optimizer:
        return DivisionOptimizer(optimizer, self)

    def _divided(self, name: str, weight: Tensor, layout: Layout) -> Tensor:
        """Return the weight divided by its largest singular value, after one power iteration or `FIRST_ITERATIONS`."""
        matrices = layout.to_matrices(weight)
        iterate = power_iteration if layout.blocks == 1 else torch.vmap(power_iteration)
        is_new = name not in self._numbers
        if is_new:
            self.store_vectors(name, *_initial_vectors(matrices.flatten(1 if layout.blocks == 1 else 2)))
        left, right = self.vectors(name)
        for _ in range(FIRST_ITERATIONS if is_new else 1):
            value, new_left, new_right = iterate(matrices, left, right)
            left.copy_(new_left)
            right.copy_(new_right)
        value = value.max() if layout.joint else value
        value = torch.where(value > 0, value, 1.0)
        return layout.from_matrices(matrices / value.reshape(*value.shape, *[1] * (matrices.ndim - value.ndim)))


def _gradient_in_blocks(gradient: Tensor, weight: Tensor, layout: Layout, left: Tensor, right: Tensor) -> Tensor:
    """Return `gradient_through_division` by block, or for the block-diagonal matrix, as a new tensor."""
    slopes, blocks = layout.to_matrices(gradient), layout.to_matrices(weight)
    blocks = blocks if layout.blocks > 1 else blocks.unsqueeze(0)
    matrices = blocks.flatten(2)  # (blocks, output units, inputs)
    left, right = left.reshape(len(blocks), -1, 1), right.reshape(len(blocks), 1, -1)
    with torch.autocast(weight.device.type, enabled=False):
        products = (slopes.reshape(matrices.shape) * matrices).sum((1, 2), keepdim=True)
        if layout.joint:  # the largest singular value is that of one block
            values = left.mT @ matrices @ right.mT
            largest = torch.zeros_like(values).index_fill_(0, values.flatten().argmax(), 1.0)
            products = products.sum() * largest
        change = products * left * right
    return layout.from_matrices(slopes - change.reshape(slopes.shape))


def _initial_vectors(matrices: Tensor) -> list[Tensor]:
    """Return random unit vectors to start the power iteration, from a generator with a fixed seed.

    Not from the global generator, whose draws other methods use.

    Args:
        matrices: (output units, inputs), or several of them.
    """
    generator = torch.Generator().manual_seed(0)
    *blocks, units, inputs = matrices.shape
    vectors = [torch.randn(*blocks, side, generator=generator, dtype=torch.float64) for side in (units, inputs)]
    return [vector / vector.norm(dim=-1, keepdim=True) for vector in vectors]


class DivisionOptimizer(BeforeUpdate):
    """Optimizer wrapper with gradients through the division; its state dict contains the singular vectors."""

    def __init__(self, base: Optimizer, method: SpectralNorm) -> None:
        super().__init__(base, method.replace_gradients)
        self._method = method

    def own_state(self) -> dict[str, Any]:
        """Return the singular vectors, without which a resumed run would divide by slightly different values."""
        return {"vectors": self._method.all_vectors()}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Load the singular vectors."""
        for name, (left, right) in state["vectors"].items():
            self._method.store_vectors(name, left, right)
