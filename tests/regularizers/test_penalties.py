"""l1, l2, elastic_net and weight_decay, compared with scikit-learn and the optimizers of PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import Lasso, Ridge

from reglab.models import Linear
from reglab.regularizers import L1, L2, ElasticNet, Regularizer, WeightDecay
from reglab.regularizers._autograd import HalfSquares, half_squares
from reglab.regularizers.l1 import soft_threshold
from reglab.tasks import Regression
from tests.regularizers.steps import batch_of, fit_of, network, same_state, task_of, train

pytestmark = pytest.mark.usefixtures("double")


def linear_data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(60, 8, generator=generator)
    true = torch.tensor([2.0, -1.0, 0.3, 0.0, 0.0, 0.0, 0.05, 0.0])
    return inputs, inputs @ true + 3 + 0.5 * torch.randn(60, generator=generator)


def linear_fit(method: Regularizer, momentum: float = 0.0, steps: int = 600) -> tuple[np.ndarray, float]:
    """Return weights and intercept after full-batch steps on the mean squared error."""
    fit = fit_of(Linear((8,), 1), Regression(), [method])
    train(fit, [linear_data()], steps, lambda p: torch.optim.SGD(p, lr=0.1, momentum=momentum))
    return fit.model.output.weight.detach().numpy()[0], fit.model.output.bias.item()


def test_l2_is_ridge() -> None:
    strength = 0.4
    weights, intercept = linear_fit(L2(strength))
    inputs, targets = (t.numpy() for t in linear_data())
    exact = Ridge(alpha=len(inputs) * strength / 2).fit(inputs, targets)
    np.testing.assert_allclose(weights, exact.coef_, rtol=1e-10)
    np.testing.assert_allclose(intercept, exact.intercept_, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_l1_is_lasso_with_the_same_zeros(momentum: float) -> None:
    strength = 0.5
    weights, intercept = linear_fit(L1(strength), momentum)
    inputs, targets = (t.numpy() for t in linear_data())
    # scikit-learn halves the squared error
    exact = Lasso(alpha=strength / 2, tol=1e-14, max_iter=100_000).fit(inputs, targets)
    assert 0 < (exact.coef_ == 0).sum() < 8
    np.testing.assert_array_equal(weights == 0, exact.coef_ == 0)
    np.testing.assert_allclose(weights, exact.coef_, rtol=1e-9)
    np.testing.assert_allclose(intercept, exact.intercept_, rtol=1e-9)


@pytest.mark.slow
def test_elastic_net_equals_scikit_learn_with_the_same_zeros() -> None:
    l1, l2 = 0.4, 0.3
    weights, intercept = linear_fit(ElasticNet(l1=l1, l2=l2))
    inputs, targets = (t.numpy() for t in linear_data())
    exact = SklearnElasticNet(alpha=(l1 + l2) / 2, l1_ratio=l1 / (l1 + l2), tol=1e-14, max_iter=100_000)
    exact.fit(inputs, targets)
    assert 0 < (exact.coef_ == 0).sum() < 8
    np.testing.assert_array_equal(weights == 0, exact.coef_ == 0)
    np.testing.assert_allclose(weights, exact.coef_, rtol=1e-9)
    np.testing.assert_allclose(intercept, exact.intercept_, rtol=1e-9)


def test_elastic_net_is_l1_and_l2_together() -> None:
    batches = [batch_of("classification", seed=i) for i in range(3)]
    combined = train(fit_of(network(), task_of("classification"), [ElasticNet(l1=0.01, l2=0.1)]), batches, 20)
    separate = train(fit_of(network(), task_of("classification"), [L1(0.01), L2(0.1)]), batches, 20)
    assert same_state(combined.model, separate.model)


def test_the_reported_penalty_is_that_of_textbooks() -> None:
    model = network()
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]
    l1, l2 = sum(w.abs().sum() for w in weights), sum((w**2).sum() for w in weights)
    for method, expected in [
        (L1(0.3), 0.3 * l1),
        (L2(0.3), 0.15 * l2),
        (ElasticNet(0.3, 0.5), 0.3 * l1 + 0.25 * l2),
    ]:
        torch.testing.assert_close(method.penalty(method.weights(model)), expected)


def test_soft_threshold() -> None:
    weight = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
    expected = torch.tensor([-2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0])
    assert torch.equal(soft_threshold(weight, torch.tensor(1.0)), expected)
    assert torch.equal(soft_threshold(weight, torch.tensor(0.0)), weight)
    wide = torch.randn(1000)
    assert torch.equal(soft_threshold(wide, torch.tensor(0.3)), torch.nn.functional.softshrink(wide, 0.3))
    stack, thresholds = wide.reshape(4, 250), torch.tensor([0.0, 0.1, 0.3, 5.0])
    each = torch.stack([soft_threshold(*pair) for pair in zip(stack, thresholds, strict=True)])
    assert torch.equal(torch.vmap(soft_threshold)(stack, thresholds), each)
    assert torch.equal(torch.vmap(soft_threshold, (0, None))(stack, thresholds[1])[1], each[1])
    assert torch.equal(torch.vmap(soft_threshold, (None, 0))(stack[2], thresholds)[2], each[2])


Make = Callable[[Any], torch.optim.Optimizer]


def trained(make: Make, *methods: Regularizer) -> torch.nn.Module:
    batches = [batch_of("classification", seed=i) for i in range(3)]
    return train(fit_of(network(norm="layer"), task_of("classification"), methods), batches, 40, make).model


def decaying(optimizer: type[torch.optim.Optimizer], strength: float, **options: Any) -> Make:
    """Return a factory of the optimizer with weight decay on the weights of linear layers only."""

    def make(parameters: Any) -> torch.optim.Optimizer:
        groups: dict[bool, list[Any]] = {True: [], False: []}
        for parameter in parameters:
            groups[parameter.ndim >= 2].append(parameter)
        return optimizer(
            [{"params": groups[True], "weight_decay": strength}, {"params": groups[False], "weight_decay": 0.0}],
            **options,
        )

    return make


def assert_close(actual: torch.nn.Module, expected: torch.nn.Module) -> None:
    torch.testing.assert_close(actual.state_dict(), expected.state_dict(), rtol=1e-11, atol=1e-12)


def test_l2_under_sgd_is_its_weight_decay_argument_and_decoupled_decay() -> None:
    sgd = lambda p: torch.optim.SGD(p, lr=0.1)  # noqa: E731
    model = trained(sgd, L2(0.05))
    assert_close(model, trained(decaying(torch.optim.SGD, 0.05, lr=0.1)))
    assert_close(model, trained(sgd, WeightDecay(0.05)))


def test_l2_under_momentum_is_its_weight_decay_argument() -> None:
    model = trained(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), L2(0.05))
    assert_close(model, trained(decaying(torch.optim.SGD, 0.05, lr=0.1, momentum=0.9)))


def test_l2_under_adam_is_adams_argument_and_not_adamws() -> None:
    model = trained(lambda p: torch.optim.Adam(p, lr=0.01), L2(0.05))
    assert_close(model, trained(decaying(torch.optim.Adam, 0.05, lr=0.01)))
    other = trained(decaying(torch.optim.AdamW, 0.05, lr=0.01))
    assert not torch.allclose(model.output.weight, other.output.weight, rtol=1e-2)


def test_weight_decay_equals_that_of_adamw_bit_for_bit() -> None:
    model = trained(lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.0), WeightDecay(0.3))
    assert same_state(model, trained(decaying(torch.optim.AdamW, 0.3, lr=0.01)))


def test_weight_decay_without_gradients_is_a_power() -> None:
    model = Linear((4,), 2)
    start = model.output.weight.detach().clone()
    bias = model.output.bias.detach().clone()

    class ConstantLoss(Regression):
        def criterion(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return 0 * outputs.sum()

    train(
        fit_of(model, ConstantLoss(), [WeightDecay(0.5)]),
        [(torch.ones(3, 4), torch.ones(3))],
        25,
        lambda p: torch.optim.SGD(p, lr=0.1),
    )
    torch.testing.assert_close(model.output.weight.detach(), (1 - 0.1 * 0.5) ** 25 * start, rtol=1e-13, atol=0)
    assert torch.equal(model.output.bias, bias)


def test_half_squares() -> None:
    weight, other = torch.randn(3, 4, requires_grad=True), torch.randn(2, 3, 2, requires_grad=True)
    assert torch.autograd.gradcheck(HalfSquares.apply, (weight, other))
    assert torch.autograd.gradgradcheck(HalfSquares.apply, (weight, other))
    torch.testing.assert_close(half_squares({"a": weight, "b": 2 * weight}), 2.5 * weight.square().sum())
    zero = torch.zeros(2, 2, requires_grad=True)
    HalfSquares.apply(zero).backward()
    assert zero.grad is not None
    assert torch.equal(zero.grad, torch.zeros(2, 2))
    stack = torch.randn(5, 3, 4)
    torch.testing.assert_close(torch.vmap(HalfSquares.apply)(stack), stack.square().sum((1, 2)) / 2)
    torch.testing.assert_close(torch.vmap(torch.func.grad(HalfSquares.apply))(stack), stack)
