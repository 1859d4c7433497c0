import pytest
import torch
from torch import nn

from reglab.models import Linear
from reglab.regularizers import GaussianDropout
from reglab.regularizers.dropout import zero_and_rescale
from reglab.regularizers.gaussian_dropout import scale_by_noise


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_mean_and_variance_equal_those_of_dropout(double: None, p: float) -> None:
    """Compare draws -1 and 1, of mean 0 and variance 1, with the moments of dropout over both masks."""
    values, strength = torch.tensor([2.0, -1.0, 0.5, 0.0]), torch.tensor(p)
    low, high = (scale_by_noise(values, torch.full((4,), sign), strength) for sign in (-1.0, 1.0))
    dropped, kept = (zero_and_rescale(values, torch.full((4,), draw), strength) for draw in (0.0, 0.9999))
    mean = p * dropped + (1 - p) * kept
    variance = p * (dropped - mean) ** 2 + (1 - p) * (kept - mean) ** 2
    torch.testing.assert_close((low + high) / 2, mean, rtol=1e-14, atol=0)
    torch.testing.assert_close(((high - low) / 2) ** 2, variance, rtol=1e-12, atol=1e-30)


def test_the_noise_is_normal(double: None) -> None:
    torch.manual_seed(0)
    p, rows = 0.3, 200_000
    model = nn.Sequential(nn.Tanh(), nn.Flatten())
    assert GaussianDropout(p).attach(model) == ["0"]
    value = torch.tensor(0.7)
    noise = (model(value.expand(rows, 1)) / value.tanh() - 1) * ((1 - p) / p) ** 0.5
    for power, moment, spread in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((noise**power).mean() - moment) < 5 * (spread / rows) ** 0.5


def test_the_class_equals_the_function() -> None:
    model, inputs = nn.Sequential(nn.Tanh(), nn.Flatten()), torch.randn(5, 4)
    method = GaussianDropout(0.4)
    method.attach(model)
    method.attach(model)  # a second call has no effect
    torch.manual_seed(1)
    outputs = model(inputs)
    torch.manual_seed(1)
    assert torch.equal(outputs, scale_by_noise(inputs.tanh(), torch.randn(5, 4), torch.tensor(0.4)))
    assert torch.equal(model.eval()(inputs), inputs.tanh())


def test_nothing_to_act_on() -> None:
    assert GaussianDropout(0.5).attach(Linear((4,), 1)) == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    values, draws = torch.randn(50, dtype=dtype), torch.randn(50)
    assert scale_by_noise(values, draws, torch.tensor(0.5)).dtype == dtype
    assert torch.equal(scale_by_noise(values, draws, torch.tensor(0.0)), values)
