"""`Dispatch` writes changed weights into a model."""

import pytest
import torch
from torch import nn

from reglab.regularizers import L1, SAM, WeightDecay
from reglab.regularizers._dispatch import Dispatch, effective_rates
from tests.errors import config_error


class Halved(WeightDecay):
    """Halve every weight after the step."""

    def after_step(self, weights: dict[str, torch.Tensor], lr: float) -> dict[str, torch.Tensor]:
        return {name: weight / 2 for name, weight in weights.items()}


def halve(model: nn.Module) -> None:
    Dispatch([Halved(strength=0.1)], model).after_step(effective_rates(torch.optim.SGD(model.parameters(), lr=0.1)))


def test_the_parameter_object_stays_in_the_optimizer() -> None:
    model = nn.Linear(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    held = model.weight
    with torch.no_grad():
        model.weight.fill_(4.0)
    halve(model)
    assert model.weight is held
    assert held.requires_grad
    assert torch.equal(held.detach(), torch.full((3, 2), 2.0))
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert torch.equal(model.weight.detach(), torch.full((3, 2), 1.0))


def test_weights_in_one_block_of_memory_stay_in_it() -> None:
    """cuDNN requires one block for the weights of a recurrent layer."""
    block = torch.full((12,), 4.0)
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False))
    model[0].weight.data = block[:6].view(3, 2)
    model[1].weight.data = block[6:].view(2, 3)
    halve(model)
    assert torch.equal(block, torch.full((12,), 2.0))
    assert all(layer.weight.untyped_storage().data_ptr() == block.data_ptr() for layer in model)


def test_shared_weights_change_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    with torch.no_grad():
        model[0].weight.fill_(4.0)
    halve(model)
    assert torch.equal(model[1].weight.detach(), torch.full((2, 2), 2.0))


def test_every_group_has_its_own_rate_and_other_weights_do_not_change() -> None:
    model = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(4)))
    with torch.no_grad():
        for layer in model:
            layer.weight.fill_(1.0)
    groups = [{"params": [model[0].weight], "lr": 0.0}, {"params": [model[1].weight]}]
    groups.append({"params": [model[2].weight], "lr": 0.01, "momentum": 0.5})
    optimizer = torch.optim.SGD(groups, lr=0.1)
    dispatch = Dispatch([L1(strength=1.0), WeightDecay(strength=0.5)], model)
    for layer in model:
        layer.weight.grad = torch.zeros(2, 2)
    dispatch.wrapped(optimizer).step()
    dispatch.after_step(effective_rates(optimizer))
    expected = [1.0, 1 - 0.1 * 0.5 - 0.1, 1 - 0.01 * 0.5 - 0.02, 1.0]
    assert [layer.weight[0, 0].item() for layer in model] == pytest.approx(expected)


def test_an_optimizer_of_many_passes_a_step_is_refused() -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.LBFGS(model.parameters())
    assert Dispatch([L1(strength=0.1)], model).wrapped(optimizer) is optimizer
    with config_error("optimizer=LBFGS: which sam ... another optimizer"):
        Dispatch([SAM(rho=0.1)], model).wrapped(optimizer)
