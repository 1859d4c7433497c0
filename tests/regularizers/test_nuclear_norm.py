import pytest
import torch

from reglab.regularizers import NuclearNorm
from reglab.regularizers.l1 import soft_threshold
from reglab.regularizers.nuclear_norm import singular_sum, thresholded_spectrum
from reglab.tasks import Regression
from tests.regularizers.steps import fit_of, network, train


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3, 3), (4, 2, 3)], ids=str)
def test_every_singular_value_shrinks_by_the_threshold(double: None, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weight = torch.randn(shape)
    before = torch.linalg.svdvals(weight.flatten(1))
    threshold = before[1:3].mean()
    shrunk = thresholded_spectrum(weight, threshold)
    after = torch.linalg.svdvals(shrunk.flatten(1))
    torch.testing.assert_close(after, (before - threshold).clamp_min(0), rtol=1e-12, atol=1e-14)
    assert (after > 1e-12).sum() == 2
    # The singular vectors stay: the difference and the result share them.
    taken = (weight - shrunk).flatten(1)
    torch.testing.assert_close(torch.linalg.svdvals(taken), before.clamp_max(threshold), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(taken @ shrunk.flatten(1).T, shrunk.flatten(1) @ taken.T, rtol=0, atol=1e-13)


def test_a_diagonal_matrix_is_soft_thresholded(double: None) -> None:
    weight, threshold = torch.diag(torch.tensor([3.0, -2.0, 0.5, 0.0])), torch.tensor(1.0)
    torch.testing.assert_close(thresholded_spectrum(weight, threshold), soft_threshold(weight, threshold))


def test_zero_returns_the_weights() -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 7)
    weight[0] = 0
    assert torch.equal(thresholded_spectrum(weight, torch.tensor(0.0)), weight)
    assert torch.equal(thresholded_spectrum(torch.zeros(2, 3), torch.tensor(0.0)), torch.zeros(2, 3))


def test_a_diverged_weight_stays_not_finite() -> None:
    weight = torch.ones(2, 2)
    weight[0, 0], weight[0, 1] = torch.nan, torch.inf
    assert thresholded_spectrum(weight, torch.tensor(0.1)).isfinite().tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_of_half_precision_are_decomposed_in_float32(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    weight, threshold = torch.randn(6, 9).to(dtype), torch.tensor(0.5)
    shrunk = thresholded_spectrum(weight, threshold)
    assert torch.equal(shrunk, thresholded_spectrum(weight.float(), threshold).to(dtype))
    assert shrunk.dtype == dtype
    assert torch.equal(thresholded_spectrum(weight, torch.tensor(0.0)), weight)
    assert torch.equal(singular_sum({"a": weight}), singular_sum({"a": weight.float()}))
    method = NuclearNorm(0.3).to(dtype)
    assert method.after_step({"a": weight}, lr=0.1)["a"].dtype == dtype


def test_autocast_does_not_round_it() -> None:
    torch.manual_seed(0)
    weight, threshold = torch.randn(6, 9), torch.tensor(0.5)
    with torch.autocast("cpu", torch.bfloat16):
        shrunk = thresholded_spectrum(weight, threshold)
    expected = (torch.linalg.svdvals(weight) - threshold).clamp_min(0)
    torch.testing.assert_close(torch.linalg.svdvals(shrunk), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_least_squares_reach_the_optimum_of_low_rank(double: None) -> None:
    """At the optimum the gradient is -s (U Vᵀ + R), with R orthogonal to U and V and singular values up to 1."""
    torch.manual_seed(0)
    strength, inputs = 0.5, torch.randn(60, 6)
    targets = inputs @ torch.randn(6, 1) @ torch.randn(1, 4) + 0.5 * torch.randn(60, 4)
    model = torch.nn.Linear(6, 4, bias=False)
    train(fit_of(model, Regression(), [NuclearNorm(strength)]), [(inputs, targets)], 4000)
    weight = model.weight
    (gradient,) = torch.autograd.grad(Regression().criterion(model(inputs), targets), weight)
    left, values, right = torch.linalg.svd(weight.detach(), full_matrices=False)
    rank = int((values > 1e-10).sum())
    assert 0 < rank < 4
    left, right = left[:, :rank], right[:rank]
    rest = -gradient / strength - left @ right
    torch.testing.assert_close(left.T @ rest, torch.zeros(rank, 6), rtol=0, atol=1e-10)
    torch.testing.assert_close(rest @ right.T, torch.zeros(4, rank), rtol=0, atol=1e-10)
    assert torch.linalg.svdvals(rest)[0] < 1


def test_the_reported_penalty_is_that_of_textbooks(double: None) -> None:
    model, method = network(shape=(2, 8, 8)), NuclearNorm(0.3)
    weights = [p.detach().flatten(1) for name, p in model.named_parameters() if name.endswith("weight")]
    expected = sum(torch.linalg.eigvalsh(w @ w.T).clamp_min(0).sqrt().sum() for w in weights if len(w) <= w.shape[1])
    assert all(len(w) <= w.shape[1] for w in weights)
    torch.testing.assert_close(method.penalty(method.weights(model)), 0.3 * expected)
    torch.testing.assert_close(singular_sum({"a": 3 * torch.eye(4), "b": torch.ones(2, 2, 4)}), torch.tensor(16.0))
