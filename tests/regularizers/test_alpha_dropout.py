import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reglab.models import Linear
from reglab.regularizers import AlphaDropout
from reglab.regularizers.alpha_dropout import SATURATED, alpha_dropped
from tests.regularizers.steps import network


def all_or_none_dropped(values: torch.Tensor, p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the values with all of them dropped, and with none dropped."""
    return tuple(alpha_dropped(values, torch.full_like(values, draw), torch.tensor(p)) for draw in (0.0, 0.999))


@pytest.mark.parametrize("p", [0.05, 0.2, 0.7])
def test_mean_0_and_variance_1_stay(double: None, p: float) -> None:
    """Compute the exact moments from both outcomes and their probabilities."""
    values = torch.randn(50)
    values = (values - values.mean()) / values.std(correction=0)
    dropped, kept = all_or_none_dropped(values, p)
    mean = (p * dropped + (1 - p) * kept).mean()
    square = (p * dropped**2 + (1 - p) * kept**2).mean()
    torch.testing.assert_close(torch.stack([mean, square]), torch.tensor([0.0, 1.0]), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_it_equals_torch(double: None, p: float) -> None:
    """Both outcomes of a value equal those of torch."""
    for value in (-1.0, 0.0, 2.5):
        values = torch.full((200,), value)
        outcomes = torch.stack([outcome[0] for outcome in all_or_none_dropped(values, p)]).sort().values
        torch.testing.assert_close(outcomes, F.alpha_dropout(values, p, training=True).unique(), rtol=1e-13, atol=1e-14)


def test_a_dropped_unit_has_the_value_of_selu_at_minus_infinity(double: None) -> None:
    assert torch.equal(nn.SELU()(torch.tensor(-1e3)), torch.tensor(SATURATED))


def test_the_share_that_is_dropped() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.SELU(), nn.Flatten())
    AlphaDropout(0.2).attach(model)
    outputs = model(torch.ones(100_000, 1))
    assert abs((outputs < 0).float().mean() - 0.2) < 5 * (0.2 * 0.8 / 100_000) ** 0.5


def test_the_class_equals_the_function() -> None:
    model, inputs = nn.Sequential(nn.SELU(), nn.Flatten()), torch.randn(5, 4)
    method = AlphaDropout(0.4)
    method.attach(model)
    method.attach(model)  # a second call has no effect
    torch.manual_seed(1)
    outputs = model(inputs)
    torch.manual_seed(1)
    assert torch.equal(outputs, alpha_dropped(F.selu(inputs), torch.rand(5, 4), torch.tensor(0.4)))
    assert torch.equal(model.eval()(inputs), F.selu(inputs))


def test_it_warns_once_of_other_activations_and_not_of_selu() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert AlphaDropout(0.1).attach(network(activation="selu")) == ["activation_0", "activation_1"]
        assert caught == []
        assert AlphaDropout(0.1).attach(network(activation="relu")) == ["activation_0", "activation_1"]
    (message,) = [str(warning.message) for warning in caught]
    assert message.startswith("regularizer=alpha_dropout: ")
    assert "ReLU" in message
    assert "model.activation=selu" in message


def test_nothing_to_act_on() -> None:
    assert AlphaDropout(0.1).attach(Linear((4,), 1)) == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    values, draws = torch.randn(50, dtype=dtype), torch.rand(50)
    assert alpha_dropped(values, draws, torch.tensor(0.5)).dtype == dtype
    assert torch.equal(alpha_dropped(values, draws, torch.tensor(0.0)), values)
