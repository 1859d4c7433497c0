import copy
import itertools

import pytest
import torch
from torch import nn

from reglab.models import CNN, Linear
from reglab.regularizers import Dropout
from reglab.regularizers.dropout import dropped, zero_and_rescale
from reglab.schema.errors import ConfigError
from reglab.tasks import Regression
from reglab.training.fit import Fit
from tests.regularizers.steps import batch_of, network, same_state, task_of


def test_mean_and_variance() -> None:
    torch.manual_seed(0)
    p, rows = 0.3, 200_000
    values = torch.tensor([2.0, -1.0, 0.5])
    out = dropped(values.expand(rows, 3), torch.tensor(p))
    spread = values.abs() * (p / (1 - p)) ** 0.5
    assert ((out.mean(0) - values).abs() < 5 * spread / rows**0.5).all()
    torch.testing.assert_close(out.var(0), spread**2, rtol=0.02, atol=0)
    assert set(out[:, 0].tolist()) == {0.0, float(values[0] * (1 / (1 - torch.tensor(p))))}


def test_the_expected_loss_of_a_linear_model_is_that_of_ridge(double: None) -> None:
    """E[loss] = SSE + p / (1 - p) Σⱼ (XᵀX)ⱼⱼ wⱼ², by enumerating all masks of a row."""
    inputs, targets, weights, p = torch.randn(7, 4), torch.randn(7), torch.randn(4), torch.tensor(0.3)
    expected = torch.zeros(())
    for mask in itertools.product([0.0, 0.999], repeat=4):  # below p: dropped
        draws = torch.tensor(mask).expand(7, 4)
        kept = sum(draw > 0 for draw in mask)
        probability = (1 - p) ** kept * p ** (4 - kept)
        expected += probability * (zero_and_rescale(inputs, draws, p) @ weights - targets).square().sum()
    sse = (inputs @ weights - targets).square().sum()
    ridge = p / (1 - p) * ((inputs.T @ inputs).diagonal() * weights**2).sum()
    torch.testing.assert_close(expected, sse + ridge, rtol=1e-12, atol=0)


def test_input_dropout_in_training_has_that_mean_loss() -> None:
    torch.manual_seed(0)
    model, p, repeats = Linear((4,), 1), 0.3, 20_000
    method = Dropout(p=0.0, input_p=p)
    assert method.attach(model) == ["inputs"]
    inputs, targets = torch.randn(5, 4), torch.randn(5)
    many = Fit(model, Regression(), [method])((inputs.repeat(repeats, 1), targets.repeat(repeats)))
    weights = model.output.weight[0]
    error = (inputs @ weights + model.output.bias - targets).square().mean()
    ridge = p / (1 - p) * (inputs.square().mean(0) * weights**2).sum()
    torch.testing.assert_close(many, error + ridge, rtol=0.02, atol=0)


def test_it_acts_after_hidden_activations_in_training_only() -> None:
    model = network(activation="sigmoid")  # no activation is 0
    plain = copy.deepcopy(model)
    method = Dropout(p=0.5)
    assert method.attach(model) == ["activation_0", "activation_1"]
    seen: dict[str, torch.Tensor] = {}
    for name in ("hidden_1", "output"):
        model.get_submodule(name).register_forward_pre_hook(lambda m, args, name=name: seen.update({name: args[0]}))
    inputs, _ = batch_of("classification", rows=400)
    model(inputs)
    for values in seen.values():
        assert abs((values == 0).float().mean() - 0.5) < 0.05
    model.eval()
    assert torch.equal(model(inputs), plain.eval()(inputs))
    assert same_state(model, plain)


def test_no_dropout_on_a_models_last_activation() -> None:
    chain = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 1), nn.Sigmoid()))
    assert Dropout(p=0.5).attach(chain) == ["1"]


def test_feature_maps_are_dropped_unit_by_unit() -> None:
    model = CNN((1, 8, 8), 3)
    assert Dropout(p=0.5, input_p=0.1).attach(model) == ["inputs", "activation_0", "activation_1"]
    assert model(torch.randn(4, 1, 8, 8)).shape == (4, 3)


def test_nothing_to_act_on() -> None:
    method = Dropout(p=0.5)
    assert method.attach(Linear((4,), 1)) == []
    assert "regularizer.dropout.input_p" in method.requirement


def test_attached_twice_it_drops_once() -> None:
    model, method = network(), Dropout(p=0.5, input_p=0.5)
    method.attach(model)
    method.attach(model)
    assert len(model.activation_0._forward_hooks) == 1
    assert len(model._forward_pre_hooks) == 1


def test_a_deep_copy_reads_its_own_strength() -> None:
    model, method = network(), Dropout(p=0.5)
    method.attach(model)
    fit = Fit(model, task_of("classification"), [method])
    copied = copy.deepcopy(fit)
    method.p.fill_(0.0)
    batch = batch_of("classification")
    assert torch.equal(fit(batch), fit(batch))
    assert not torch.equal(copied(batch), copied(batch))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    values = torch.randn(50, dtype=dtype)
    assert dropped(values, torch.tensor(0.5)).dtype == dtype
    assert torch.equal(dropped(values, torch.tensor(0.0)), values)


def test_input_dropout_of_token_ids_is_refused() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.ReLU(), nn.Linear(4, 3))
    method = Dropout(p=0.1, input_p=0.1)
    method.attach(model)
    tokens = torch.arange(5)
    with pytest.raises(ConfigError, match=r"^regularizer\.dropout\.input_p=0\.1: "):
        model.train()(tokens)
    assert model.eval()(tokens).isfinite().all()
