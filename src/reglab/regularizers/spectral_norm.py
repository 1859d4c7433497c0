"""Spectral norm: every weight matrix is divided by its largest singular value."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from reglab.regularizers._layouts import Layout, UnitWise
from reglab.regularizers._order import DIVISION
from reglab.regularizers._wrapper import BeforeUpdate, dense
from reglab.regularizers.base import Weights, penalized

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


class SpectralNorm(UnitWise):
    """Training is over W / σ₁(W) of every weight matrix, in training and in evaluation, and that is what is saved.

    The model holds the divided matrix itself: it is divided when attached and after each step, and each step takes the
    gradient through the division, without which it need not lead downhill. This is Miyato et al. 2018, "Spectral
    Normalization for Generative Adversarial Networks", with one power iteration a step, except that they keep an
    undivided W, whose growth shrinks the steps (by σ² under SGD).

    A matrix holds the weights of one map, see `Layout`. Gates of a recurrent layer and queries, keys and values are
    maps of their own; the groups of a convolution are blocks of one matrix, whose largest value is that of them all.
    """

    memory_traffic: ClassVar = (
        8.0  # w in for two products, in and out for the division; w, gradient in, gradient in, out
    )
    order: ClassVar = DIVISION  # inside SAM, whose two passes make one gradient; after all that changes weights
    conflicts: ClassVar = {
        "max_norm": "a largest singular value of 1 holds rows to 1, and dividing by it would undo a lower limit",
        "weight_decay": "dividing by the largest singular value undoes it",
    }
    stackable: ClassVar = "it keeps singular vectors from step to step, beside the optimizer"

    def __init__(self) -> None:
        super().__init__()
        self._model: tuple[nn.Module, ...] = ()
        self._numbers: dict[str, int] = {}  # of the vectors of a weight, for names of buffers have no dots

    @torch.no_grad()
    def attach(self, model: nn.Module) -> list[str]:
        self._model = (model,)  # in a tuple: it is no part of this module
        self._numbers.clear()
        names = super().attach(model)
        for name, weight, layout in self.laid_out(penalized(model)):
            weight.copy_(self._divided(name, weight, layout))
        return names

    def vectors(self, name: str) -> tuple[Tensor, Tensor]:
        """The left and the right singular vector of a weight, (output units,) and (inputs,), or of each block."""
        number = self._numbers[name]
        return self.get_buffer(f"left_{number}"), self.get_buffer(f"right_{number}")

    def all_vectors(self) -> dict[str, tuple[Tensor, Tensor]]:
        """The `vectors` of all weights so far, by name."""
        return {name: self.vectors(name) for name in self._numbers}

    def keep(self, name: str, left: Tensor, right: Tensor) -> None:
        """Makes these the `vectors` of the weight, on its device."""
        weight = self._model[0].get_parameter(name)
        number = self._numbers.setdefault(name, len(self._numbers))
        self.register_buffer(f"left_{number}", left.to(weight, copy=True), persistent=False)
        self.register_buffer(f"right_{number}", right.to(weight, copy=True), persistent=False)

    def take_along(self) -> None:
        """Makes the gradients of the divided weights those of the loss of W / σ₁(W)."""
        for name, weight, layout in self.laid_out(penalized(*self._model)):
            if name not in self._numbers or weight.grad is None:  # not yet, where it was frozen until now
                continue
            dense(weight.grad, self.name)
            if layout.axis == 0 and layout.blocks == 1:
                along(weight.grad, weight, *self.vectors(name))
            else:
                weight.grad.copy_(_along_blocks(weight.grad, weight, layout, *self.vectors(name)))

    def after_step(self, weights: Weights, lr: float) -> Weights:
        return {name: self._divided(name, weight, layout) for name, weight, layout in self.laid_out(weights)}

    def wrap_optimizer(self, optimizer: Optimizer) -> Optimizer:
        return AlongDivided(optimizer, self)

    def _divided(self, name: str, weight: Tensor, layout: Layout) -> Tensor:
        """By the largest singular value after one more iteration, or after the first ones of a weight that is new."""
        maps = layout.maps(weight)
        step = iterated if layout.blocks == 1 else torch.vmap(iterated)
        new = name not in self._numbers
        if new:
            self.keep(name, *_anything(maps.flatten(1 if layout.blocks == 1 else 2)))
        left, right = self.vectors(name)
        for _ in range(FIRST_ITERATIONS if new else 1):
            value, new_left, new_right = step(maps, left, right)
            left.copy_(new_left)
            right.copy_(new_right)
        value = value.max() if layout.joint else value
        value = torch.where(value > 0, value, 1.0)
        return layout.stacked(maps / value.reshape(*value.shape, *[1] * (maps.ndim - value.ndim)))


def _along_blocks(gradient: Tensor, weight: Tensor, layout: Layout, left: Tensor, right: Tensor) -> Tensor:
    """As `along`, of a weight in any layout: each block, or all as one block-diagonal matrix; a new tensor."""
    slopes, maps = layout.maps(gradient), layout.maps(weight)
    blocks = maps if layout.blocks > 1 else maps.unsqueeze(0)
    matrices = blocks.flatten(2)  # (blocks, output units, inputs)
    left, right = left.reshape(len(blocks), -1, 1), right.reshape(len(blocks), 1, -1)
    with torch.autocast(weight.device.type, enabled=False):
        products = (slopes.reshape(matrices.shape) * matrices).sum((1, 2), keepdim=True)
        if layout.joint:  # the largest singular value is that of one block
            values = left.mT @ matrices @ right.mT
            largest = torch.zeros_like(values).index_fill_(0, values.flatten().argmax(), 1.0)
            products = products.sum() * largest
        change = products * left * right
    return layout.stacked(slopes - change.reshape(slopes.shape))


def _anything(matrices: Tensor) -> list[Tensor]:
    """Vectors to begin with: any would do, unless they are at right angles to what is sought.

    Not from the global generator, for nobody else's numbers are to move.

    Args:
        matrices: (output units, inputs), or several of them.
    """
    generator = torch.Generator().manual_seed(0)
    *blocks, units, inputs = matrices.shape
    vectors = [torch.randn(*blocks, side, generator=generator, dtype=torch.float64) for side in (units, inputs)]
    return [vector / vector.norm(dim=-1, keepdim=True) for vector in vectors]


class AlongDivided(BeforeUpdate):
    """The optimizer with gradients through the division; the singular vectors travel in its state dict."""

    def __init__(self, base: Optimizer, method: SpectralNorm) -> None:
        super().__init__(base, method.take_along)
        self._method = method

    def own_state(self) -> dict[str, Any]:
        """The singular vectors: with others a resumed run would divide by a slightly different value."""
        return {"vectors": self._method.all_vectors()}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Goes on with them."""
        for name, (left, right) in state["vectors"].items():
            self._method.keep(name, left, right)
