import copy

import pytest
import torch
from torch import nn

from reglab.regularizers import GradientNoise
from reglab.regularizers.gradient_noise import NoisyGradients, noise_std


def test_variance_by_step(double: None) -> None:
    """Over 200,000 gradients of zero: mean 0, variance eta / (1 + t)^0.55, and new draws at each step."""
    torch.manual_seed(0)
    eta, count = 0.3, 200_000
    weight = nn.Parameter(torch.zeros(count))
    optimizer = GradientNoise(eta).wrap_optimizer(torch.optim.SGD([weight], lr=1.0))
    moves = []
    for step in range(4):
        before = weight.detach().clone()
        weight.grad = torch.zeros(count)
        optimizer.step()
        move = weight.detach() - before
        variance = eta / (1 + step) ** 0.55
        assert noise_std(torch.tensor(eta), step) ** 2 == pytest.approx(variance, rel=1e-12)
        assert move.mean().abs() < 5 * (variance / count) ** 0.5
        assert move.var() == pytest.approx(variance, rel=0.02)
        moves.append(move)
    assert torch.corrcoef(torch.stack(moves)).fill_diagonal_(0).abs().max() < 0.02


def test_it_is_added_to_the_gradient() -> None:
    weight = nn.Parameter(torch.zeros(5))
    weight.grad = torch.arange(5.0)
    torch.manual_seed(7)
    GradientNoise(0.5).wrap_optimizer(torch.optim.SGD([weight], lr=1.0)).step()
    torch.manual_seed(7)
    expected = torch.arange(5.0) + torch.randn(5) * 0.5**0.5
    torch.testing.assert_close(weight.detach(), -expected)


def test_the_state_dict_contains_the_step() -> None:
    def new() -> NoisyGradients:
        weight = nn.Parameter(torch.zeros(3))
        weight.grad = torch.zeros(3)
        return NoisyGradients(torch.optim.SGD([weight], lr=1.0), GradientNoise(1.0))

    first, second = new(), new()
    for _ in range(4):
        first.step()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.steps == 4
    for optimizer in (first, second):
        torch.manual_seed(1)
        optimizer.parameters[0].data.zero_()
        optimizer.parameters[0].grad.zero_()
        optimizer.step()
    assert torch.equal(first.parameters[0], second.parameters[0])


def test_parameters_without_a_gradient_stay() -> None:
    used, unused = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))
    used.grad = torch.zeros(3)
    GradientNoise(1.0).wrap_optimizer(torch.optim.SGD([used, unused], lr=1.0)).step()
    assert (used != 0).all()
    assert (unused == 0).all()
