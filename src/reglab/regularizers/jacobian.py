"""Jacobian penalty: small changes of an input are to change the outputs little."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reglab.regularizers._autograd import input_gradient
from reglab.regularizers._order import PENALTY
from reglab.regularizers.base import Batch, Regularizer, Step
from reglab.schema.strength import coefficient
from reglab.schema.task_kinds import NUMERIC_INPUTS


def squared_jacobian(outputs: Tensor, inputs: Tensor, draws: Tensor) -> Tensor:
    """An estimate of the mean over rows of ‖∂outputs/∂inputs‖²_F, a scalar that can be differentiated in its turn.

    The outputs of each row are projected on a direction u of length 1, and C · ‖∂(u · outputs)/∂inputs‖² is averaged.
    With directions that are uniform on the sphere, independent between rows, it has the right mean; with one output it
    is exact. So Hoffman, Roberts and Yaida 2019, "Robust Learning with Jacobian Regularization".

    Args:
        outputs: (rows, C), or (rows,) where C is 1; computed from `inputs` by autograd.
        inputs: (rows, ...), a tensor that requires gradients.
        draws: of the shape of `outputs`; of each row only the direction counts. Standard normal ones are uniform.
    """
    directions = F.normalize(draws.reshape(len(draws), -1), dim=-1)
    scaled = (directions * directions.shape[-1] ** 0.5).reshape(outputs.shape).to(outputs.dtype)
    slopes = input_gradient(outputs, inputs, "jacobian", scaled, create_graph=True)
    return slopes.square().sum() / len(inputs)


class Jacobian(Regularizer):
    """Adds strength / 2 · ‖∂f/∂x‖²_F, the mean over examples, by one random projection of each example's outputs.

    x is what enters the model (mixed, noisy) and f what it says in the training pass itself, with its masks.

    Args:
        strength: at least 0; 0 is off, bit for bit, at the same cost.
    """

    strength = coefficient(0.01, 0.001, 1.0, effect="jacobian penalty")
    order: ClassVar = PENALTY
    requires_task: ClassVar = (NUMERIC_INPUTS,)
    passes: ClassVar = 2.0  # the slopes, and the way back through them as well
    stackable: ClassVar = "it differentiates the training pass itself, which autograd does not do inside of vmap"

    def attach(self, model: nn.Module) -> list[str]:
        return ["inputs"]

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        inputs, targets = batch
        return inputs.detach().requires_grad_(), targets

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        assert step.outputs is not None, "the loss comes after the forward pass"
        draws = torch.randn(step.outputs.shape, device=step.outputs.device)
        return loss + self.strength / 2 * squared_jacobian(step.outputs, step.inputs, draws)
