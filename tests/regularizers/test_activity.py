"""activity_l1 and activity_kl: penalties on what hidden units say."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, kl_divergence

from reglab.errors import ConfigError
from reglab.models import Linear
from reglab.regularizers import ActivityKL, ActivityL1, Dropout, Regularizer, Step
from reglab.regularizers.activity_kl import activity_divergence
from reglab.regularizers.activity_l1 import absolute_activity
from reglab.tasks import Regression
from reglab.training.fit import Fit
from tests.regularizers.steps import batch_of, fit_of, network, task_of, train

METHODS: list[tuple[type[Any], str]] = [(ActivityL1, "tanh"), (ActivityKL, "sigmoid")]
both = pytest.mark.parametrize(("cls", "activation"), METHODS, ids=["l1", "kl"])


def hidden(model: nn.Module, inputs: torch.Tensor) -> list[torch.Tensor]:
    """Both hidden layers' activations, computed by hand."""
    first = model.activation_0(model.hidden_0(inputs))
    return [first, model.activation_1(model.hidden_1(first))]


def test_l1_is_the_mean_over_examples_of_the_sum_over_units(double: None) -> None:
    model, task, (inputs, targets) = network(activation="tanh"), task_of("classification"), batch_of("classification")
    fit = fit_of(model, task, [ActivityL1(0.3)])
    exact = sum(h.abs().sum().item() for row in inputs for h in hidden(model, row)) / len(inputs)
    expected = task.criterion(model(inputs), targets) + 0.3 * exact
    torch.testing.assert_close(fit((inputs, targets)), expected, rtol=1e-13, atol=0)


def test_l1_leaves_lone_units_at_the_soft_threshold_of_their_targets(double: None) -> None:
    """A unit an example, h = relu(w): the minimum of (h - t)² + s h is at max(t - s / 2, 0)."""
    targets = torch.tensor([0.1, 0.2, 0.5, 1.0, 3.0])
    model = nn.Sequential(nn.Linear(5, 1, bias=False), nn.ReLU(), nn.Flatten(0))
    nn.init.constant_(model[0].weight, 2.0)
    fit = fit_of(model, Regression(), [ActivityL1(0.5)])
    train(fit, [(torch.eye(5), targets)], 400, lambda p: torch.optim.SGD(p, lr=0.5))
    torch.testing.assert_close(model(torch.eye(5)), (targets - 0.25).clamp(min=0), rtol=1e-12, atol=1e-12)
    assert (model(torch.eye(5)) == 0).tolist() == [True, True, False, False, False]


def test_kl_is_that_of_torchs_bernoullis(double: None) -> None:
    model, task = network(activation="sigmoid"), task_of("classification")
    inputs, targets = batch_of("classification")
    fit = fit_of(model, task, [ActivityKL(0.3)])
    exact = sum(kl_divergence(Bernoulli(0.05), Bernoulli(h.mean(0))).sum() for h in hidden(model, inputs))
    expected = task.criterion(model(inputs), targets) + 0.3 * exact
    loss = fit((inputs, targets))
    torch.testing.assert_close(loss, expected, rtol=1e-13, atol=0)
    parameters = list(model.parameters())
    for one, other in zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)


def test_kl_is_zero_where_units_speak_for_that_share_and_finite_where_they_are_stuck(double: None) -> None:
    speaking = torch.zeros(40, 3)
    speaking[:2] = 1.0
    assert abs(activity_divergence([speaking])) < 1e-15
    for stuck in (0.0, 1.0):
        units = torch.full((4, 3), stuck, requires_grad=True)
        divergence = activity_divergence([units])
        divergence.backward()
        assert divergence.isfinite()
        assert divergence > 0.1
        assert units.grad.isfinite().all()


def test_kl_draws_units_to_the_share(double: None) -> None:
    class Nothing(Regression):
        def criterion(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return 0 * outputs.sum()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 1), nn.Flatten(0))
    inputs = torch.randn(30, 3)
    fit = fit_of(model, Nothing(), [ActivityKL(1.0)])
    train(fit, [(inputs, torch.zeros(30))], 1000, lambda p: torch.optim.SGD(p, lr=1.0))
    torch.testing.assert_close(model[:2](inputs).mean(0), torch.full((4,), 0.05), rtol=1e-6, atol=0)


@both
def test_the_size_of_the_batch_does_not_matter(double: None, cls: Any, activation: str) -> None:
    fit = fit_of(network(activation=activation), task_of("classification"), [cls(0.3)])
    inputs, targets = batch_of("classification")
    torch.testing.assert_close(fit((inputs.repeat(5, 1), targets.repeat(5))), fit((inputs, targets)))


@both
def test_dropout_beside_it_does_not_change_what_units_said(double: None, cls: Any, activation: str) -> None:
    model, task, batch = network(activation=activation), task_of("classification"), batch_of("classification")
    method = cls(1.0)
    fit_of(model, task, [method, Dropout(p=0.5)])
    seen: dict[str, torch.Tensor] = {}
    for name in ("hidden_0", "hidden_1"):
        model.get_submodule(name).register_forward_hook(lambda m, args, out, name=name: seen.update({name: out}))
    step = Step(model, task, batch)
    step.forward()
    measure = absolute_activity if cls is ActivityL1 else activity_divergence
    before = measure([model.activation_0.forward(out) for out in seen.values()])
    assert torch.equal(method.loss(torch.zeros(()), step), before)


@both
def test_the_latest_training_pass_counts_alone(cls: Any, activation: str) -> None:
    model, task, batch = network(activation=activation), task_of("classification"), batch_of("classification")
    fit = fit_of(model, task, [cls(0.3)])
    once, step, other = fit(batch), Step(model, task, batch), torch.randn(7, 6)
    model(other)  # the first of two passes in a step
    loss = task.criterion(step.forward(), batch[1])
    with torch.no_grad():
        model(other)
    model.eval()(other)
    assert torch.equal(fit.regularizers[0].loss(loss, step), once)
    copy.deepcopy(fit)  # which a pass that is still held would not allow


@both
def test_nothing_in_evaluation(cls: Any, activation: str) -> None:
    model, task, batch = network(activation=activation), task_of("classification"), batch_of("classification")
    fit = fit_of(model, task, [cls(0.3)]).eval()
    assert torch.equal(fit(batch), task.criterion(model(batch[0]), batch[1]))


@both
def test_attached_twice_it_counts_once(cls: Any, activation: str) -> None:
    model, method = network(activation=activation), cls(0.3)
    batch = batch_of("classification")
    method.attach(model)
    once = Fit(model, task_of("classification"), [method])(batch)
    assert method.attach(model) == ["activation_0", "activation_1"]
    assert torch.equal(Fit(model, task_of("classification"), [method])(batch), once)


@both
def test_nothing_to_act_on(cls: type[Regularizer], activation: str) -> None:
    assert cls(strength=0.1).attach(Linear((4,), 1)) == []


def test_kl_refuses_other_activations() -> None:
    with pytest.raises(ConfigError) as error:
        ActivityKL(0.1).attach(nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.Linear(2, 1)))
    assert str(error.value) == (
        "regularizer=activity_kl: is for sigmoid, whose activations lie between 0 and 1, and this model has "
        "ReLU, Tanh; set model.activation=sigmoid, or choose regularizer=activity_l1"
    )
