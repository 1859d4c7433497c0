"""weight_noise, drop_connect, and what both hang on: weights that are others for the length of a forward pass."""

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reglab.models import Linear
from reglab.regularizers import L2, DropConnect, Regularizer, WeightNoise
from reglab.regularizers._swapped_weights import WeightSwap
from reglab.regularizers.dropout import thinned
from reglab.regularizers.weight_noise import noisy
from reglab.training.fit import Fit
from tests.regularizers.steps import batch_of, fit_of, network, same_state, task_of

pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(params=["weight_noise", "drop_connect"])
def method(request: pytest.FixtureRequest) -> Regularizer:
    return WeightNoise(0.1) if request.param == "weight_noise" else DropConnect(0.5)


def attached(model: nn.Module, *methods: Any) -> nn.Module:
    for method in methods:
        assert method.attach(model)
    return model


# the methods


def test_noise_on_a_linear_model_adds_a_constant_to_the_expected_squared_error() -> None:
    """E over n of |X(w + std n) - y|² = |Xw - y|² + std² Σ x², by points that have the mean 0 and the covariance I."""
    torch.manual_seed(0)
    inputs, targets, weights, std = torch.randn(7, 4), torch.randn(7), torch.randn(4), torch.tensor(0.3)
    points = torch.cat([torch.eye(4), -torch.eye(4)]) * 4**0.5
    losses = [(inputs @ noisy(weights, point, std) - targets).square().sum() for point in points]
    expected = (inputs @ weights - targets).square().sum() + 0.3**2 * inputs.square().sum()
    torch.testing.assert_close(torch.stack(losses).mean(), expected, rtol=1e-13, atol=0)


def test_dropped_connections_have_the_weights_as_mean_and_cost_a_linear_model_ridge() -> None:
    """E[W m / (1 - p)] = W, and E[loss] = SSE + p / (1 - p) Σⱼ (XᵀX)ⱼⱼ wⱼ², by enumerating all masks of a step."""
    torch.manual_seed(0)
    inputs, targets, weights, p = torch.randn(7, 4), torch.randn(7), torch.randn(4), torch.tensor(0.3)
    mean, loss = torch.zeros(4), torch.zeros(())
    for mask in itertools.product([0.0, 0.999], repeat=4):  # below p: dropped
        kept = sum(draw > 0 for draw in mask)
        probability = (1 - p) ** kept * p ** (4 - kept)
        changed = thinned(weights, torch.tensor(mask), p)
        mean += probability * changed
        loss += probability * (inputs @ changed - targets).square().sum()
    torch.testing.assert_close(mean, weights, rtol=1e-14, atol=0)
    ridge = p / (1 - p) * ((inputs.T @ inputs).diagonal() * weights**2).sum()
    torch.testing.assert_close(loss, (inputs @ weights - targets).square().sum() + ridge, rtol=1e-13, atol=0)


def seen(method: Regularizer, value: float = 0.5, size: int = 400) -> Tensor:
    """What a linear model computed with in one training pass, where all its weights were `value`."""
    model = attached(Linear((size,), size), method)
    nn.init.constant_(model.output.weight, value)
    nn.init.zeros_(model.output.bias)
    torch.manual_seed(0)
    return model(torch.eye(size)).detach()


def test_the_noise_in_training_is_normal() -> None:
    noise = (seen(WeightNoise(0.2)) - 0.5) / 0.2
    n = noise.numel()
    assert abs(noise.mean()) < 5 / n**0.5
    assert abs(noise.square().mean() - 1) < 5 * (2 / n) ** 0.5
    assert abs(noise.pow(4).mean() - 3) < 5 * (96 / n) ** 0.5


def test_the_share_of_dropped_connections_in_training() -> None:
    weights = seen(DropConnect(0.3))
    p = DropConnect(0.3).p.double()
    assert set(weights.unique().tolist()) == {0.0, float(0.5 / (1 - p))}
    assert abs((weights == 0).double().mean() - 0.3) < 5 * (0.3 * 0.7 / weights.numel()) ** 0.5


def test_a_step_takes_the_gradient_at_the_changed_weights_and_moves_the_own(method: Regularizer) -> None:
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


# the swap


class Recorder:
    """A change of weights that doubles them and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, weight: Tensor) -> Tensor:
        self.calls += 1
        return 2 * weight


def test_the_weights_are_the_models_own_after_every_pass(method: Regularizer) -> None:
    model, plain = network(), network()
    before = list(model.parameters())
    attached(model, method)
    inputs, _ = batch_of("classification")
    assert not torch.equal(model(inputs), plain(inputs))
    assert all(one is other for one, other in zip(model.parameters(), before, strict=True))
    assert all(isinstance(parameter, nn.Parameter) for parameter in model.parameters())
    assert same_state(model, plain)
    assert torch.equal(model.eval()(inputs), plain.eval()(inputs))


def test_a_pass_that_fails_leaves_the_own_weights(method: Regularizer) -> None:
    model, plain = attached(network(), method), network()
    before = list(model.parameters())
    with pytest.raises(RuntimeError, match="shapes"):
        model(torch.randn(3, 99))
    assert all(one is other for one, other in zip(model.parameters(), before, strict=True))
    assert same_state(model, plain)


def test_a_pass_that_is_interrupted_is_undone_by_the_next_one() -> None:
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


def test_two_swaps_act_one_on_the_other_and_both_give_back() -> None:
    model = nn.Linear(4, 3)
    plain = copy.deepcopy(model)
    attached(model, WeightSwap(lambda weight: weight + 1), WeightSwap(lambda weight: 2 * weight))
    inputs = torch.randn(5, 4)
    expected = nn.functional.linear(inputs, 2 * (plain.weight + 1), plain.bias)
    for _ in range(2):
        torch.testing.assert_close(model(inputs), expected)
        assert same_state(model, plain)


def test_penalties_see_the_clean_weights() -> None:
    task, batch = task_of("classification"), batch_of("classification")
    losses = []
    for methods in ([WeightNoise(0.1)], [WeightNoise(0.1), L2(0.3)]):
        fit = fit_of(network(), task, methods)
        torch.manual_seed(0)
        losses.append(fit(batch))
    squares = sum(p.square().sum() for name, p in network().named_parameters() if name.endswith("weight"))
    torch.testing.assert_close(losses[1] - losses[0], 0.15 * squares)


def test_shared_weights_change_once_and_everywhere() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    change = Recorder()
    attached(model, WeightSwap(change))
    inputs = torch.randn(4, 3)
    torch.testing.assert_close(model(inputs), 4 * inputs @ model[0].weight.T @ model[0].weight.T)
    assert change.calls == 1
    assert model[1].weight is model[0].weight


def test_weights_that_another_layer_reads_change_too() -> None:
    """nn.MultiheadAttention reads out_proj.weight and never calls out_proj."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.MultiheadAttention(4, 2, bias=False, batch_first=True)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.inner(inputs, inputs, inputs, need_weights=False)[0]

    model = Attention()
    plain, inputs = copy.deepcopy(model), torch.randn(2, 3, 4)

    def only_out(weight: Tensor) -> Tensor:
        return 3 * weight if weight is model.inner.out_proj.weight else weight

    attached(model, WeightSwap(only_out))
    torch.testing.assert_close(model(inputs), 3 * plain(inputs))


def test_biases_and_normalization_gains_do_not_change() -> None:
    model = network(norm="layer")
    changed: list[Tensor] = []

    def change(weight: Tensor) -> Tensor:
        changed.append(weight)
        return weight

    names = WeightSwap(change).attach(model)
    model(batch_of("classification")[0])
    assert names == ["hidden_0.weight", "hidden_1.weight", "output.weight"]
    assert all(one is model.get_parameter(name) for one, name in zip(changed, names, strict=True))


def test_attached_twice_it_swaps_once() -> None:
    change = Recorder()
    swap, model = WeightSwap(change), nn.Linear(3, 2)
    swap.attach(model)
    swap.attach(model)
    model(torch.randn(4, 3))
    assert change.calls == 1


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
