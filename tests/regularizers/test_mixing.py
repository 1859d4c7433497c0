"""Draws from Beta(alpha, alpha) and mixtures of labels for mixup and cutmix."""

import pytest
import torch
from scipy import stats
from torch.func import vmap

from reglab.regularizers._batch_transforms import beta_draws, blend
from reglab.regularizers._class_probabilities import as_probabilities
from tests.regularizers.steps import task_of


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 8.0, 32.0])
def test_draws_are_of_beta(alpha: float) -> None:
    torch.manual_seed(0)
    draws = beta_draws(torch.tensor(alpha), 100_000)
    assert draws.dtype == torch.float32
    assert 0 <= draws.min() <= draws.max() <= 1
    # float32 resolves shares near 0 better than near 1; by symmetry the lower half is enough.
    lower = draws[draws < 0.5].double().numpy()
    assert stats.kstest(lower, lambda x: 2 * stats.beta(alpha, alpha).cdf(x)).pvalue > 0.01
    assert abs(float((draws < 0.5).double().mean()) - 0.5) < 0.008


@pytest.mark.parametrize("alpha", [1e-2, 1e-3, 1e-7, 1e-30])
def test_a_small_alpha_gives_shares_of_0_or_1(alpha: float) -> None:
    """A quotient of two Gamma variables would underflow to ½ or NaN."""
    torch.manual_seed(0)
    draws = beta_draws(torch.tensor(alpha), 10_000)
    between = float(((draws > 0.01) & (draws < 0.99)).double().mean())
    exact = float(1 - 2 * stats.beta(max(alpha, 1e-6), max(alpha, 1e-6)).cdf(0.01))
    assert abs(between - exact) < 0.02
    assert abs(float(draws.double().mean()) - 0.5) < 0.02


def test_alpha_0_is_the_share_1() -> None:
    assert torch.equal(beta_draws(torch.tensor(0.0), 50), torch.ones(50))


def test_a_stack_has_the_draws_of_separate_runs(double: None) -> None:
    alphas = torch.tensor([0.0, 0.1, 2.0, 32.0])
    torch.manual_seed(3)
    stacked = vmap(lambda alpha: beta_draws(alpha, 400), randomness="same")(alphas)
    for alpha, row in zip(alphas, stacked, strict=True):
        torch.manual_seed(3)
        torch.testing.assert_close(row, beta_draws(alpha, 400), rtol=1e-13, atol=0)
    different = vmap(lambda alpha: beta_draws(alpha, 400), randomness="different")(torch.ones(2))
    assert not torch.equal(*different)


def test_shared_targets() -> None:
    numbers = torch.tensor([2, 0])
    shares = as_probabilities(numbers, task_of("classification"), torch.float64)
    assert torch.equal(shares, torch.tensor([[0, 0, 1], [1, 0, 0]], dtype=torch.float64))
    assert as_probabilities(shares, task_of("classification"), torch.float32) is shares
    values = torch.tensor([0.5, 3.0])
    assert as_probabilities(values, task_of("regression"), torch.float32) is values


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_blended(dtype: torch.dtype) -> None:
    values, others = torch.randn(2, 3, 2, 4, dtype=dtype)
    out = blend(values, others, torch.tensor([1.0, 0.25, 0.0]))
    assert out.dtype == dtype
    assert torch.equal(out[0], values[0])
    assert torch.equal(out[2], others[2])
    torch.testing.assert_close(out[1], values[1] / 4 + others[1] * 3 / 4)


def test_a_mixture_of_signals_lasts_as_long_as_its_row() -> None:
    nan = torch.nan
    long, short = torch.tensor([[[1.0, 2, 3]]]), torch.tensor([[[5.0, nan, nan]]])
    share = torch.tensor([0.75])
    torch.testing.assert_close(blend(long, short, share), torch.tensor([[[2.0, 2, 3]]]))
    torch.testing.assert_close(blend(short, long, share), torch.tensor([[[4.0, nan, nan]]]), equal_nan=True)
    full = torch.tensor([1.0])
    assert torch.equal(blend(long, short, full), long)
