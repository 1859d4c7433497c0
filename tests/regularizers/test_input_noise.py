import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from reglab.models import Linear
from reglab.regularizers import InputNoise
from reglab.regularizers.input_noise import noisy
from reglab.tasks import Regression
from tests.regularizers.steps import batch_of, fit_of, network, task_of

STD = 0.4


def every_noise(inputs: torch.Tensor) -> list[torch.Tensor]:
    """Return the inputs with all sign patterns of noise on one row, for exact expectations."""
    signs = itertools.product([-1.0, 1.0], repeat=inputs.shape[1])
    return [noisy(inputs, torch.tensor(row).expand_as(inputs), torch.tensor(STD)) for row in signs]


def test_the_expected_loss_of_a_linear_model_is_that_of_ridge(double: None) -> None:
    """E[SSE] = SSE + m σ² Σ w², since the squared error has no higher moments of the noise."""
    inputs, targets, weights = torch.randn(7, 4), torch.randn(7), torch.randn(4)
    expected = torch.stack([(x @ weights - targets).square().sum() for x in every_noise(inputs)]).mean()
    sse = (inputs @ weights - targets).square().sum()
    torch.testing.assert_close(expected, sse + 7 * STD**2 * weights.square().sum(), rtol=1e-12, atol=0)


def test_least_squares_on_noisy_inputs_equals_ridge(double: None) -> None:
    inputs, targets = torch.randn(9, 4), torch.randn(9)
    # with a column for the intercept
    many = torch.cat([torch.nn.functional.pad(x, (0, 1), value=1.0) for x in every_noise(inputs)])
    coefficients = torch.linalg.lstsq(many, targets.repeat(16)[:, None]).solution[:, 0].numpy()
    exact = Ridge(alpha=9 * STD**2).fit(inputs.numpy(), targets.numpy())
    np.testing.assert_allclose(coefficients, [*exact.coef_, exact.intercept_], rtol=1e-10)


def test_training_has_that_mean_loss() -> None:
    torch.manual_seed(0)
    model, repeats = Linear((4,), 1), 20_000
    inputs, targets = torch.randn(5, 4), torch.randn(5)
    loss = fit_of(model, Regression(), [InputNoise(STD)])((inputs.repeat(repeats, 1), targets.repeat(repeats)))
    clean = (model(inputs) - targets).square().mean()
    torch.testing.assert_close(loss, clean + STD**2 * model.output.weight.square().sum(), rtol=0.02, atol=0)


def test_the_class_equals_the_function() -> None:
    model, task, (inputs, targets) = network(), task_of("classification"), batch_of("classification")
    fit = fit_of(model, task, [InputNoise(STD)])
    torch.manual_seed(1)
    loss = fit((inputs, targets))
    torch.manual_seed(1)
    draws = torch.randn(inputs.shape)
    assert torch.equal(loss, task.criterion(model(noisy(inputs, draws, torch.tensor(STD))), targets))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    inputs, targets = torch.randn(50, 3, dtype=dtype), torch.zeros(50)
    assert InputNoise(0.5).transform_batch((inputs, targets), None)[0].dtype == dtype
    assert torch.equal(InputNoise(0.0).transform_batch((inputs, targets), None)[0], inputs)


def test_token_ids_are_refused() -> None:
    with pytest.raises(RuntimeError):
        InputNoise(0.5).transform_batch((torch.ones(3, 2, dtype=torch.long), torch.zeros(3)), None)
