"""Monte-Carlo dropout: uncertainty against exact results and SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from reglab.inference.mc_dropout import (
    class_rows,
    class_uncertainty,
    dropout_on,
    fit_noise,
    label_mean,
    label_uncertainty,
    log_mean,
    regression_rows,
    regression_uncertainty,
    sample,
)
from reglab.models import MLP
from reglab.regularizers import Dropout


def test_only_dropout_is_in_training_mode() -> None:
    torch.manual_seed(0)
    model = MLP((4,), 3, hidden_sizes=[8], norm="batch")
    model.append(nn.Dropout(0.1))
    method = Dropout(0.5, input_p=0.2)
    dropout_modules = method.attach(model)
    model.train()(torch.randn(20, 4))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inputs = torch.randn(6, 4)
    with dropout_on(model, dropout_modules) as named:
        assert set(named) == {
            "inputs",
            "activation_0",
            next(n for n, m in model.named_modules() if isinstance(m, nn.Dropout)),
        }
        assert not model.norm_0.training
        passes = sample(model, inputs, 5, seed=0)
        assert passes.shape == (5, 6, 3)
        assert not torch.equal(passes[0], passes[1])
        assert torch.equal(passes, sample(model, inputs, 5, seed=0))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())  # the mode is restored
    plain = model.eval()(inputs)
    with dropout_on(model, []):
        model[-1].training = False
        assert torch.equal(sample(model, inputs, 1, seed=0)[0], plain)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True), {"self_attn", "dropout", "dropout1"}),
        (nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), {"dropout", "dropout1", "dropout2"}),
        (nn.LSTM(8, 4, 2, dropout=0.3), {""}),
        (nn.GRU(8, 4, 2), set()),
        (nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True), {""}),
    ],
    ids=["encoder", "encoder off", "LSTM", "GRU off", "attention"],
)
def test_torch_layers_with_internal_dropout_are_sampled(layer: nn.Module, named: set[str]) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            outputs = layer(x, x, x) if isinstance(layer, nn.MultiheadAttention) else layer(x)
            return outputs[0] if isinstance(outputs, tuple) else outputs

    model = Net()
    model.layer = layer
    inputs, fast = torch.randn(4, 5, 8), torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad():
        plain = model.eval()(inputs)
    with dropout_on(model, []) as names:
        assert {name.removeprefix("layer").removeprefix(".") for name in names} >= named
        passes = sample(model, inputs, 4, seed=0)
    assert torch.backends.mha.get_fastpath_enabled() is fast
    dropped = bool(layer.dropout.p if isinstance(layer, nn.TransformerEncoderLayer) else layer.dropout)
    assert torch.equal(passes[0], passes[1]) is not dropped
    if dropped:
        assert not torch.allclose(passes[0], plain, atol=1e-3)
    else:
        torch.testing.assert_close(passes[0], plain)


@pytest.mark.slow
def test_the_mean_over_masks_of_a_linear_model_equals_its_output_without_dropout() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 1), nn.Flatten(-2))
    dropout_modules = Dropout(0.0, input_p=0.3).attach(model)
    inputs, passes = torch.randn(3, 5), 40_000
    with dropout_on(model, dropout_modules):
        values = sample(model, inputs, passes, seed=1)
    weights = model[0].weight.detach()[0]
    variance = (inputs * weights).square().sum(-1) * 0.3 / 0.7  # each mask has variance p / (1 - p)
    errors = (values.mean(0) - model.eval()(inputs).detach()).abs()
    assert (errors < 5 * (variance / passes).sqrt()).all()
    torch.testing.assert_close(values.var(0), variance, rtol=0.05, atol=0)


def test_classes_by_hand() -> None:
    """Two passes on two rows: confident and equal, confident and opposite."""
    p = torch.tensor([[[0.9, 0.1], [0.9, 0.1]], [[0.9, 0.1], [0.1, 0.9]]])
    figures = class_uncertainty(p.log())
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    torch.testing.assert_close(log_mean(p.log()).exp(), torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64))
    assert figures["entropy"] == pytest.approx((entropy + math.log(2)) / 2)
    assert figures["mutual_information"] == pytest.approx((math.log(2) - entropy) / 2)
    assert class_uncertainty(p[:1].log()) == {"entropy": pytest.approx(entropy)}  # undefined for one pass


def test_regression_uncertainty_equals_scipys_mixture_of_normals() -> None:
    generator = np.random.default_rng(0)
    values, targets = generator.normal(size=(7, 30)), generator.normal(size=30)
    figures = regression_uncertainty(torch.from_numpy(values), torch.from_numpy(targets), noise=0.6, scale=10.0)
    density = stats.norm.pdf(10 * targets, loc=10 * values, scale=6.0).mean(0)
    assert figures["log_likelihood"] == pytest.approx(np.log(density).mean())
    assert figures["spread"] == pytest.approx(10 * np.sqrt(values.var(0, ddof=1).mean()))
    assert figures["noise"] == pytest.approx(6.0)
    alone = regression_uncertainty(torch.from_numpy(values[:1]), torch.from_numpy(targets), noise=0.6, scale=10.0)
    assert set(alone) == {"noise", "coverage_90", "log_likelihood"}  # no spread for one pass
    assert alone["log_likelihood"] == pytest.approx(stats.norm.logpdf(10 * targets, 10 * values[0], 6.0).mean())


def test_noise_maximizes_the_likelihood() -> None:
    generator = np.random.default_rng(1)
    truth = generator.normal(size=4000)
    targets = torch.from_numpy(truth + 0.5 * generator.normal(size=4000))
    assert fit_noise(torch.from_numpy(truth).expand(3, -1), targets) == pytest.approx(
        float((targets - torch.from_numpy(truth)).square().mean().sqrt()), rel=1e-3
    )


def test_coverage_of_a_regression_equals_scipys() -> None:
    generator = np.random.default_rng(0)
    values, noise = generator.normal(size=(8, 500)), 0.7
    targets = values[generator.integers(8, size=500), np.arange(500)] + generator.normal(0, noise, 500)
    coverage = regression_uncertainty(torch.from_numpy(values), torch.from_numpy(targets), noise)["coverage_90"]
    below = stats.norm.cdf(targets, values, noise).mean(0)
    assert coverage == ((below >= 0.05) & (below <= 0.95)).mean()
    assert coverage == pytest.approx(0.9, abs=0.04)  # targets drawn from the predictive distribution
    coverage_of_outliers = regression_uncertainty(torch.from_numpy(values), torch.from_numpy(targets) + 10, noise)[
        "coverage_90"
    ]
    assert coverage_of_outliers == 0


def test_uncertainty_of_each_row() -> None:
    p = torch.tensor([[[0.9, 0.1], [0.9, 0.1]], [[0.9, 0.1], [0.1, 0.9]]])
    rows = class_rows(p.log())
    assert rows["predicted"].tolist()[0] == 0
    torch.testing.assert_close(rows["probability"], torch.tensor([0.9, 0.5], dtype=torch.float64))
    confident, undecided = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)), math.log(2)
    torch.testing.assert_close(rows["entropy"], torch.tensor([confident, undecided], dtype=torch.float64))
    torch.testing.assert_close(
        rows["mutual_information"], torch.tensor([0, undecided - confident], dtype=torch.float64)
    )
    numbers = regression_rows(torch.tensor([[1.0, 2.0], [3.0, 2.0]]), noise=1.0, mean=10.0, scale=2.0)
    torch.testing.assert_close(numbers["predicted"], torch.tensor([14.0, 14.0], dtype=torch.float64))
    torch.testing.assert_close(numbers["spread"], torch.tensor([2 * 2**0.5, 0], dtype=torch.float64))
    torch.testing.assert_close(numbers["deviation"], torch.tensor([2 * 3**0.5, 2], dtype=torch.float64))


LOGITS = {
    "usual": 2.0,
    "logits of 1e4": 1e4,
    "flat": 0.0,
    "classes that are masked out": math.inf,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", LOGITS)
def test_uncertainty_equals_that_of_float64_probabilities(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    logits = torch.randn(7, 11, 4, dtype=torch.float64)
    if LOGITS[name] == math.inf:
        logits[..., 2] = -math.inf
        logits[:3, :, 1] = -math.inf
    else:
        logits *= LOGITS[name]
    logits = logits.to(dtype)
    p = logits.double().softmax(-1).numpy()
    total, within = stats.entropy(p.mean(0), axis=-1), stats.entropy(p, axis=-1).mean(0)
    rows, figures = class_rows(logits), class_uncertainty(logits)
    assert rows["entropy"].numpy() == pytest.approx(total, rel=1e-11, abs=1e-13)
    assert rows["mutual_information"].numpy() == pytest.approx(np.maximum(total - within, 0), rel=1e-9, abs=1e-12)
    assert rows["probability"].numpy() == pytest.approx(p.mean(0).max(-1), rel=1e-12)
    assert figures["entropy"] == pytest.approx(total.mean(), rel=1e-11, abs=1e-13)
    assert figures["mutual_information"] == pytest.approx((total - within).mean(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1e6, 1.0), (0.0, 1e-8), (0.0, 1e8), (-1e6, 1e-3)])
def test_likelihood_and_coverage_of_targets_of_any_scale(mean: float, std: float) -> None:
    draws = np.random.default_rng(0)
    targets = mean + std * draws.normal(size=40)
    passes = targets + 0.3 * std * draws.normal(size=(6, 40))
    noise, scale = 0.5 * std, 3.0
    figures = regression_uncertainty(torch.from_numpy(passes), torch.from_numpy(targets), noise, scale)
    mixture = stats.norm(passes, noise)
    likelihood = np.log(mixture.pdf(targets).mean(0)).mean() - math.log(scale)
    covered = np.abs(mixture.cdf(targets).mean(0) - 0.5) <= 0.45
    assert figures["log_likelihood"] == pytest.approx(likelihood, rel=1e-9)
    assert figures["coverage_90"] == covered.mean()
    assert figures["spread"] == pytest.approx(math.sqrt(passes.var(0, ddof=1).mean()) * scale, rel=1e-7)
    fitted_noise = fit_noise(torch.from_numpy(passes), torch.from_numpy(targets))
    likelihoods = [
        regression_uncertainty(torch.from_numpy(passes), torch.from_numpy(targets), fitted_noise * factor)[
            "log_likelihood"
        ]
        for factor in (0.99, 1.0, 1.01)
    ]
    assert likelihoods[1] == max(likelihoods)


def test_mean_and_uncertainty_of_labels_equal_independent_binaries() -> None:
    logits = 4 * torch.randn(7, 5, 3, generator=torch.Generator().manual_seed(1)).double()
    probabilities = logits.sigmoid()
    mean = probabilities.mean(0)
    torch.testing.assert_close(label_mean(logits).sigmoid(), mean, rtol=1e-12, atol=0)
    entropy = np.vectorize(lambda p: stats.bernoulli(p).entropy())
    rows = label_uncertainty(logits)
    expected = entropy(mean.numpy()).sum(-1)
    np.testing.assert_allclose(rows["entropy"], expected, rtol=1e-12)
    within = entropy(probabilities.numpy()).sum(-1).mean(0)
    np.testing.assert_allclose(rows["mutual_information"], expected - within, rtol=1e-10)
    certain = label_uncertainty(torch.full((2, 1, 3), 900.0))  # no NaN at probability 1
    assert certain["entropy"].tolist() == certain["mutual_information"].tolist() == [0.0]
