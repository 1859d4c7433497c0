import copy
from typing import Any

import pytest
import pytorch_optimizer
import torch
from torch import Tensor, nn

from reglab.regularizers import Lookahead
from reglab.regularizers.lookahead import interpolate
from reglab.schema.errors import ConfigError
from tests.regularizers.steps import batch_of, fit_of, network, same_state, task_of, train


def test_slow_weights_by_hand(double: None) -> None:
    """Gradient descent on ½ a w² multiplies w by 1 - lr · a; after every k steps the slow weights move by half."""
    lr, k, alpha = 0.1, 3, 0.4
    slopes = torch.tensor([1.0, 2.0, 5.0])
    weight = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    optimizer = Lookahead(alpha, k).wrap_optimizer(torch.optim.SGD([weight], lr=lr))
    slow = fast = weight.detach().clone()
    for step in range(1, 11):
        weight.grad = slopes * weight.detach()
        optimizer.step()
        fast = fast * (1 - lr * slopes)
        if step % k == 0:
            slow = slow + alpha * (fast - slow)
            fast = slow
        torch.testing.assert_close(weight.detach(), fast, rtol=1e-13, atol=0)


@pytest.mark.parametrize("k", [1, 4])
def test_alpha_1_is_the_base_optimizer(k: int) -> None:
    """Bit for bit for every k: the slow weights equal those of the optimizer."""
    batches = [batch_of("classification", seed=i) for i in range(3)]
    on, plain = ([Lookahead(1.0, k)], [])
    fits = [train(fit_of(network(), task_of("classification"), methods), batches, 60) for methods in (on, plain)]
    assert same_state(fits[0].model, fits[1].model)


def test_interpolation_at_alpha_1_is_exact() -> None:
    slow, fast = torch.randn(10_000), torch.randn(10_000) * 1e-3
    assert torch.equal(interpolate(slow, fast, torch.tensor(1.0)), fast)
    assert not torch.equal(slow + (fast - slow), fast), "the plain formula rounds"


def test_the_state_dict_contains_slow_weights() -> None:
    """Save between two synchronizations and continue from a copy."""

    def run(optimizer: torch.optim.Optimizer, weight: nn.Parameter, steps: int) -> None:
        for _ in range(steps):
            weight.grad = weight.detach().clone()
            optimizer.step()

    def new(start: Tensor) -> tuple[torch.optim.Optimizer, nn.Parameter]:
        weight = nn.Parameter(start.clone())
        return Lookahead(0.5, 3).wrap_optimizer(torch.optim.SGD([weight], lr=0.1)), weight

    first, weight = new(torch.tensor([1.0, 2.0]))
    run(first, weight, 4)
    second, resumed = new(weight.detach())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    run(first, weight, 4)
    run(second, resumed, 4)
    assert torch.equal(weight, resumed)


def test_half_a_step_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"regularizer.lookahead.k=2.5: .*whole number"):
        Lookahead(0.5, 2.5)


@pytest.mark.parametrize(("k", "alpha"), [(3, 0.4), (2, 0.8), (5, 0.5), (1, 0.3)])
@pytest.mark.parametrize("adam", [False, True])
def test_it_equals_pytorch_optimizer(double: None, k: int, alpha: float, adam: bool) -> None:
    """Compare twelve steps; momentum is kept at a synchronization, as by default in the library."""

    def base(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=0.02) if adam else torch.optim.SGD(parameters, lr=0.1, momentum=0.9)

    def trained_with(make: Any) -> nn.Module:
        model, task = network(activation="tanh"), task_of("classification")
        optimizer = make(base(model.parameters()))
        for step in range(12):
            inputs, targets = batch_of("classification", seed=step % 3)
            optimizer.zero_grad()
            task.criterion(model(inputs), targets).backward()
            optimizer.step()
        return model

    model = trained_with(Lookahead(alpha, k).wrap_optimizer)
    reference = trained_with(lambda optimizer: pytorch_optimizer.Lookahead(optimizer, k=k, alpha=alpha))
    plain = trained_with(lambda optimizer: optimizer)
    for a, b, without in zip(model.parameters(), reference.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-15)
        assert not torch.allclose(a, without, rtol=1e-3, atol=1e-3)


def test_all_weights_are_synchronized() -> None:
    """A weight with a gradient in the first of two steps only is synchronized, too, unlike in the library."""
    ends = []
    for make in (
        Lookahead(0.5, 2).wrap_optimizer,
        lambda optimizer: pytorch_optimizer.Lookahead(optimizer, k=2, alpha=0.5),
    ):
        weights = [nn.Parameter(torch.tensor([1.0])), nn.Parameter(torch.tensor([1.0]))]
        optimizer = make(torch.optim.SGD(weights, lr=0.5))
        for used in (weights, weights[:1]):
            optimizer.zero_grad()
            torch.cat(list(used)).sum().backward()
            optimizer.step()
        ends.append([weight.item() for weight in weights])
    assert ends == [[0.5, 0.75], [0.5, 0.5]]
