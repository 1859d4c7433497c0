import copy

import pytest
import torch
from torch import Tensor, nn

from reglab.errors import ConfigError
from reglab.regularizers import Lookahead
from reglab.regularizers.lookahead import toward
from tests.regularizers.steps import batch_of, fit_of, network, same_state, task_of, train


def test_slow_weights_by_hand(double: None) -> None:
    """Gradient descent on ½ a w² multiplies w by 1 - lr · a; after every k steps half the way back."""
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
    """Bit for bit, whatever k is: the slow weights are the optimizer's."""
    batches = [batch_of("classification", seed=i) for i in range(3)]
    on, plain = ([Lookahead(1.0, k)], [])
    fits = [train(fit_of(network(), task_of("classification"), methods), batches, 60) for methods in (on, plain)]
    assert same_state(fits[0].model, fits[1].model)


def test_the_end_of_the_way_is_reached_exactly() -> None:
    slow, fast = torch.randn(10_000), torch.randn(10_000) * 1e-3
    assert torch.equal(toward(slow, fast, torch.tensor(1.0)), fast)
    assert not torch.equal(slow + (fast - slow), fast), "the plain formula rounds"


def test_slow_weights_travel_in_the_state_dict() -> None:
    """Saved between two meetings: from there on the copy goes the same way."""

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
    with pytest.raises(ConfigError, match=r"regularizer.lookahead.k=2.5: must be a whole number"):
        Lookahead(0.5, 2.5)
