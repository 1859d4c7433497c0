"""Weights changed by a swap and number of changes, tested with a simple change."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from reglab.regularizers import DropConnect, Regularizer, WeightNoise
from reglab.regularizers._swapped_weights import WeightSwap
from reglab.schema.errors import ConfigError
from tests.regularizers.steps import batch_of, network, same_state
from tests.regularizers.swaps import attached

pytestmark = pytest.mark.usefixtures("double")


class Recorder:
    """Double the weights and count the calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, weight: Tensor) -> Tensor:
        self.calls += 1
        return 2 * weight


def test_two_swaps_are_composed_and_both_are_undone() -> None:
    model = nn.Linear(4, 3)
    plain = copy.deepcopy(model)
    attached(model, WeightSwap(lambda weight: weight + 1), WeightSwap(lambda weight: 2 * weight))
    inputs = torch.randn(5, 4)
    expected = nn.functional.linear(inputs, 2 * (plain.weight + 1), plain.bias)
    for _ in range(2):
        torch.testing.assert_close(model(inputs), expected)
        assert same_state(model, plain)


def test_shared_weights_change_once_and_everywhere() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    change = Recorder()
    attached(model, WeightSwap(change))
    inputs = torch.randn(4, 3)
    torch.testing.assert_close(model(inputs), 4 * inputs @ model[0].weight.T @ model[0].weight.T)
    assert change.calls == 1
    assert model[1].weight is model[0].weight


def test_weights_used_by_another_layer_change() -> None:
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


@pytest.mark.filterwarnings("ignore:.*weight_norm")
@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.orthogonal, nn.utils.weight_norm])
@pytest.mark.parametrize("method", [DropConnect(0.5), WeightNoise(0.1)], ids=lambda method: method.name)
def test_parameters_that_weights_are_computed_from_are_refused(method: Regularizer, wrap: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 4), wrap(nn.Linear(4, 3)))
    with pytest.raises(ConfigError, match=rf"^regularizer={method.name}: changes weights, and 1\.\S+ is a parameter"):
        method.attach(model)
    model[1].requires_grad_(False)
    assert method.attach(model) == ["0.weight"]


def test_attached_twice_it_swaps_once() -> None:
    change = Recorder()
    swap, model = WeightSwap(change), nn.Linear(3, 2)
    swap.attach(model)
    swap.attach(model)
    model(torch.randn(4, 3))
    assert change.calls == 1
