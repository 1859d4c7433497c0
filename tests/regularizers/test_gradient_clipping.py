import pytest
import torch
from torch import nn

from reglab.regularizers import GradientClipping
from reglab.regularizers.gradient_clipping import clip
from tests.regularizers.lightning_runs import fitted
from tests.regularizers.steps import same_state


def test_it_equals_clipping_by_the_trainer() -> None:
    clipped, _ = fitted(GradientClipping(max_norm=0.25))
    trainer_clipped, _ = fitted(gradient_clip_val=0.25)
    plain, _ = fitted()
    assert same_state(clipped.fit.model, trainer_clipped.fit.model)
    assert not same_state(clipped.fit.model, plain.fit.model)


@pytest.mark.parametrize(("max_norm", "length"), [(1.0, 1.0), (5.0, 5.0), (13.5, 13.0), (float("inf"), 13.0)])
def test_one_norm_over_all_parameters(double: None, max_norm: float, length: float) -> None:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(4))]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 4.0]), torch.tensor([12.0])
    assert clip(parameters, max_norm).item() == 13.0
    gradient = torch.cat([parameters[0].grad, parameters[1].grad])
    torch.testing.assert_close(gradient, torch.tensor([3.0, 4.0, 12.0]) * length / 13, rtol=1e-6, atol=0)
    assert torch.equal(gradient, torch.tensor([3.0, 4.0, 12.0])) == (max_norm > 13)
    assert parameters[2].grad is None


def test_a_step_of_sgd_is_at_most_that_long(double: None) -> None:
    weight = nn.Parameter(torch.zeros(3))
    optimizer = GradientClipping(max_norm=2.0).wrap_optimizer(torch.optim.SGD([weight], lr=0.1))

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (weight * torch.tensor([30.0, 40.0, 0.0])).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 0.0
    torch.testing.assert_close(weight.detach(), torch.tensor([-0.12, -0.16, 0.0]), rtol=1e-6, atol=0)
