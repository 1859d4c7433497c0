"""weight_noise and drop_connect change weights during a forward pass and restore them."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from reglab.regularizers import L2, DropConnect, Regularizer, WeightNoise
from reglab.training.fit import Fit
from tests.regularizers.steps import batch_of, fit_of, network, same_state, task_of
from tests.regularizers.swaps import attached

pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(params=["weight_noise", "drop_connect"])
def method(request: pytest.FixtureRequest) -> Regularizer:
    return WeightNoise(0.1) if request.param == "weight_noise" else DropConnect(0.5)


def test_the_gradient_at_the_changed_weights_updates_the_original_weights(method: Regularizer) -> None:
    task, batch, model = task_of("classification"), batch_of("classification"), network()
    changed, slopes = copy.deepcopy(model), {}
    torch.manual_seed(5)
    for name in method.weights(model):
        weight = changed.get_parameter(name).data
        if isinstance(method, WeightNoise):
            weight += method.std * torch.randn(weight.shape)
            slopes[name] = torch.ones(())
        else:
            slopes[name] = (torch.rand(weight.shape) >= method.p) / (1 - method.p)
            weight *= slopes[name]
    task.criterion(changed(batch[0]), batch[1]).backward()
    fit = fit_of(model, task, [method])
    torch.manual_seed(5)
    fit(batch).backward()
    for name, parameter in changed.named_parameters():
        expected = parameter.grad * slopes.get(name, 1.0)
        torch.testing.assert_close(model.get_parameter(name).grad, expected, rtol=1e-12, atol=1e-15)


def test_one_draw_for_all_examples_of_a_step_and_another_for_the_next(method: Regularizer) -> None:
    model = attached(network(), method)
    torch.manual_seed(0)
    rows = torch.randn(1, 6).expand(5, 6)
    first, second = model(rows), model(rows)
    torch.testing.assert_close(first, first[:1].expand(5, -1))
    assert not torch.allclose(first, second)


def test_the_weights_are_restored_after_every_pass(method: Regularizer) -> None:
    model, plain = network(), network()
    before = list(model.parameters())
    attached(model, method)
    inputs, _ = batch_of("classification")
    assert not torch.equal(model(inputs), plain(inputs))
    assert all(one is other for one, other in zip(model.parameters(), before, strict=True))
    assert all(isinstance(parameter, nn.Parameter) for parameter in model.parameters())
    assert same_state(model, plain)
    assert torch.equal(model.eval()(inputs), plain.eval()(inputs))


def test_the_weights_are_restored_after_an_error(method: Regularizer) -> None:
    model, plain = attached(network(), method), network()
    before = list(model.parameters())
    with pytest.raises(RuntimeError, match="shapes"):
        model(torch.randn(3, 99))
    assert all(one is other for one, other in zip(model.parameters(), before, strict=True))
    assert same_state(model, plain)


def test_the_pass_after_an_interrupted_one_restores_the_weights() -> None:
    model = attached(network(), WeightNoise(0.1), DropConnect(0.5))
    before = list(model.parameters())

    def interrupt(layer: nn.Module, inputs: Any) -> None:
        raise KeyboardInterrupt

    handle = model.output.register_forward_pre_hook(interrupt)
    inputs, _ = batch_of("classification")
    with pytest.raises(KeyboardInterrupt):
        model(inputs)
    handle.remove()
    model(inputs)
    assert all(one is other for one, other in zip(model.parameters(), before, strict=True))


def test_penalties_use_the_unchanged_weights() -> None:
    task, batch = task_of("classification"), batch_of("classification")
    losses = []
    for methods in ([WeightNoise(0.1)], [WeightNoise(0.1), L2(0.3)]):
        fit = fit_of(network(), task, methods)
        torch.manual_seed(0)
        losses.append(fit(batch))
    squares = sum(p.square().sum() for name, p in network().named_parameters() if name.endswith("weight"))
    torch.testing.assert_close(losses[1] - losses[0], 0.15 * squares)


def test_a_deep_copy_reads_its_own_strength(method: Regularizer) -> None:
    fit = Fit(attached(network(), method), task_of("classification"), [method])
    copied = copy.deepcopy(fit)
    next(method.buffers()).fill_(0.0)
    batch = batch_of("classification")
    assert torch.equal(fit(batch), fit(batch))
    assert not torch.equal(copied(batch), copied(batch))
    assert same_state(copied.model, network())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_stays(method: Regularizer, dtype: torch.dtype) -> None:
    model = attached(nn.Linear(4, 3, dtype=dtype), method)
    assert model(torch.randn(2, 4, dtype=dtype)).dtype == dtype
