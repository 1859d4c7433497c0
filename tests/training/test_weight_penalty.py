"""`WeightPenalty`: gradients of the formula, and refusal of methods that need a batch."""

from typing import Any

import pytest
import torch
from torch import nn

from reglab.regularizers import L2, ElasticNet, LabelSmoothing, LogitPenalty, Orthogonal
from reglab.training.weight_penalty import WeightPenalty
from tests.errors import config_error


def ids_of(model: nn.Module) -> set[int]:
    return {id(parameter) for parameter in model.parameters()}


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))


def test_gradients_are_added_to_those_of_the_weights(model: nn.Sequential) -> None:
    penalty = WeightPenalty(L2(strength=0.5), model, lambda: ids_of(model))
    model[0].weight.grad = torch.ones(3, 2)
    penalty.backward()
    assert torch.allclose(model[0].weight.grad, 1 + 0.5 * model[0].weight.detach())
    assert torch.allclose(model[1].weight.grad, 0.5 * model[1].weight.detach())
    assert model[0].bias.grad is None


def test_weights_that_the_optimizer_lacks_get_no_gradient(model: nn.Sequential) -> None:
    WeightPenalty(L2(strength=0.5), model, lambda: {id(model[1].weight)}).backward()
    assert model[0].weight.grad is None
    assert model[1].weight.grad is not None


@pytest.mark.parametrize("method", [L2(1e-8), L2(1e8), Orthogonal(0.1), ElasticNet(l1=0.0, l2=0.1)])
def test_penalties_of_any_size_pass(model: nn.Sequential, method: Any) -> None:
    method.attach(model)
    WeightPenalty(method, model, lambda: ids_of(model)).backward()


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (LabelSmoothing(0.1), "regularizer=label_smoothing: outputs"),
        (LogitPenalty(0.1), "regularizer=logit_penalty: outputs"),
    ],
)
def test_methods_that_need_outputs_are_refused(model: nn.Sequential, method: Any, expected: str) -> None:
    with config_error(expected):
        WeightPenalty(method, model, lambda: ids_of(model))


def test_a_method_that_scales_the_loss_is_refused(model: nn.Sequential) -> None:
    class Doubled(L2):
        def loss(self, loss: torch.Tensor, step: Any) -> torch.Tensor:
            return 2 * loss

    with config_error("regularizer=doubled: change the loss itself"):
        WeightPenalty(Doubled(0.1), model, lambda: ids_of(model))
