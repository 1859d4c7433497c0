import pytest
import torch

from reglab.regularizers import WeightNoise
from reglab.regularizers.input_noise import noisy
from tests.regularizers.swaps import weights_in_pass

pytestmark = pytest.mark.usefixtures("double")


def test_noise_on_a_linear_model_adds_a_constant_to_the_expected_squared_error() -> None:
    """E over n of |X(w + std n) - y|² = |Xw - y|² + std² Σ x², from points with mean 0 and covariance I."""
    torch.manual_seed(0)
    inputs, targets, weights, std = torch.randn(7, 4), torch.randn(7), torch.randn(4), torch.tensor(0.3)
    points = torch.cat([torch.eye(4), -torch.eye(4)]) * 4**0.5
    losses = [(inputs @ noisy(weights, point, std) - targets).square().sum() for point in points]
    expected = (inputs @ weights - targets).square().sum() + 0.3**2 * inputs.square().sum()
    torch.testing.assert_close(torch.stack(losses).mean(), expected, rtol=1e-13, atol=0)


def test_the_noise_in_training_is_normal() -> None:
    noise = (weights_in_pass(WeightNoise(0.2)) - 0.5) / 0.2
    n = noise.numel()
    assert abs(noise.mean()) < 5 / n**0.5
    assert abs(noise.square().mean() - 1) < 5 * (2 / n) ** 0.5
    assert abs(noise.pow(4).mean() - 3) < 5 * (96 / n) ** 0.5
