"""Jacobian penalty: squared derivatives of the outputs with respect to the inputs."""

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
    """Return an estimate of the mean over rows of ‖∂outputs/∂inputs‖²_F, a differentiable scalar.

    The outputs of each row are projected on a unit vector u, and C · ‖∂(u · outputs)/∂inputs‖² is averaged. The
    estimate is unbiased for independent directions that are uniform on the sphere, and exact for one output. Hoffman,
    Roberts and Yaida 2019, "Robust Learning with Jacobian Regularization".

    Args:
        outputs: (rows, C), or (rows,) for C = 1; computed from `inputs` by autograd.
        inputs: (rows, ...), a tensor that requires gradients.
        draws: directions, normalized for each row, of the shape of `outputs`; standard normal draws are uniform.
    """
    directions = F.normalize(draws.reshape(len(draws), -1), dim=-1)
    scaled = (directions * directions.shape[-1] ** 0.5).reshape(outputs.shape).to(outputs.dtype)
    slopes = input_gradient(outputs, inputs, "jacobian", scaled, create_graph=True)
    return slopes.square().sum() / len(inputs)


class Jacobian(Regularizer):
    """Add strength / 2 · ‖∂f/∂x‖²_F, the mean over examples, estimated by one random projection per example.

    x are the inputs of the model after noise and mixing, and f the outputs of the training pass, with its masks.

    Args:
        strength: at least 0; 0 is off, at the same cost.
    """

    strength = coefficient(0.01, 0.001, 1.0, effect="jacobian penalty")
    order: ClassVar = PENALTY
    requires_task: ClassVar = (NUMERIC_INPUTS,)
    passes: ClassVar = 2.0  # one for the gradient with respect to the inputs, one for its backward pass
    stackable: ClassVar = "it differentiates the training pass, which autograd does not support under vmap"

    def attach(self, model: nn.Module) -> list[str]:
        return ["inputs"]

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        inputs, targets = batch
        return inputs.detach().requires_grad_(), targets

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        assert step.outputs is not None, "the loss comes after the forward pass"
        draws = torch.randn(step.outputs.shape, device=step.outputs.device)
        return loss + self.strength / 2 * squared_jacobian(step.outputs, step.inputs, draws)
