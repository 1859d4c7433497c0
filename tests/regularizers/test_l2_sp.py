import copy

import pytest
import torch

from reglab.regularizers import L2, L2SP
from reglab.regularizers.l2_sp import l2_sp_penalty
from tests.regularizers.steps import batch_of, fit_of, network, same_state, task_of, train

pytestmark = pytest.mark.usefixtures("double")


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [batch_of("regression", seed=i) for i in range(3)]


def test_the_gradient_is_the_difference_from_the_start_and_a_new_head_is_pulled_to_0() -> None:
    torch.manual_seed(0)
    weights = {"body": torch.randn(3, 4, requires_grad=True), "head": torch.randn(2, 3, requires_grad=True)}
    starts = {"body": torch.randn(3, 4)}
    penalty = l2_sp_penalty(weights, starts, torch.tensor(0.3))
    body, head = torch.autograd.grad(penalty, list(weights.values()))
    torch.testing.assert_close(body, 0.3 * (weights["body"] - starts["body"]), rtol=1e-15, atol=0)
    torch.testing.assert_close(head, 0.3 * weights["head"], rtol=1e-15, atol=0)
    squares = (weights["body"] - starts["body"]).square().sum() + weights["head"].square().sum()
    torch.testing.assert_close(penalty, 0.15 * squares)


def test_the_start_stays_while_the_weights_move() -> None:
    fit, initial = fit_of(network("regression"), task_of("regression"), [L2SP(0.3)]), network("regression")
    method = fit.regularizers[0]
    assert method.penalty(method.weights(fit.model)) == 0
    train(fit, batches(), 20)
    squared_distance = 0.0
    for name, start in method.starts().items():
        assert torch.equal(start, initial.get_parameter(name))
        squared_distance += (fit.model.get_parameter(name) - start).square().sum()
    assert squared_distance > 0.01
    torch.testing.assert_close(method.penalty(method.weights(fit.model)), 0.15 * squared_distance)


def test_a_step_reduces_the_difference_from_the_start() -> None:
    fit = fit_of(network("regression"), task_of("regression"), [L2SP(0.3)])
    before = copy.deepcopy(train(fit, batches(), 5).model)
    plain = train(fit_of(copy.deepcopy(before), task_of("regression")), batches(), 1).model
    train(fit, batches(), 1)
    for name, start in fit.regularizers[0].starts().items():
        pull = 0.1 * 0.3 * (before.get_parameter(name) - start)
        torch.testing.assert_close(fit.model.get_parameter(name), plain.get_parameter(name) - pull)


def test_from_zero_it_is_l2() -> None:
    def trained(method: L2 | L2SP) -> torch.nn.Module:
        model = network("regression", hidden_sizes=[])
        torch.nn.init.zeros_(model.output.weight)
        return train(fit_of(model, task_of("regression"), [method]), batches(), 20).model

    assert same_state(trained(L2SP(0.3)), trained(L2(0.3)))


def test_loading_weights_does_not_change_the_start() -> None:
    """Attach before loading the weights, in the order of a resumed run."""
    fit = train(fit_of(network("regression"), task_of("regression"), [L2SP(0.3)]), batches(), 5)
    resumed = fit_of(network("regression"), task_of("regression"), [L2SP(0.3)])
    assert resumed.load_state_dict(fit.state_dict()).missing_keys == []
    assert torch.equal(resumed(batches()[0]), fit(batches()[0]))
    assert same_state(train(resumed, batches(), 5).model, train(fit, batches(), 5).model)
