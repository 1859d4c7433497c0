"""Metrics of tasks against scikit-learn in float64, for values whose float32 sums are inaccurate."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, mean_squared_error, r2_score
from torch import Tensor
from torchmetrics.functional import r2_score as torchmetrics_r2

from reglab.tasks import Classification, LanguageModeling, Regression, Task

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def draws(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def metrics(task: Task, outputs: Tensor, targets: Tensor, batch: int = 37) -> dict[str, float]:
    """Return metrics over batches of unequal sizes, as in an evaluation."""
    pairs = zip(outputs.split(batch), targets.split(batch), strict=True)
    collected = map(torch.cat, zip(*(task.collected(*pair) for pair in pairs), strict=True))
    values = task.metrics(*collected, full=True)
    assert {value.dtype for value in values.values()} == {torch.float64}
    return {name: float(value) for name, value in values.items()}


def close(value: float, exact: float) -> bool:
    return value == pytest.approx(exact, rel=1e-12, abs=1e-15)


# regression

REGRESSION: dict[str, Tensor] = {
    "usual": draws(300),
    "far off": 101325 + 20 * draws(300),
    "far off, narrow": 1e6 + draws(300),
    "tiny": 1e-8 * draws(300),
    "huge": 1e8 * draws(300),
    "squares beyond float32": 1e25 * draws(300),
    "squares below float32": 1e-30 * draws(300),
    "one outlier": torch.cat([draws(299), torch.tensor([1e12], dtype=torch.float64)]),
    "two rows": draws(2),
    "constant": torch.full((300,), 0.1, dtype=torch.float64),
    "constant, far off": torch.full((300,), 101325.3, dtype=torch.float64),
}


@pytest.mark.parametrize("dtype", DTYPES[:1] + DTYPES[3:], ids=str)
@pytest.mark.parametrize("name", REGRESSION)
def test_regression(name: str, dtype: torch.dtype) -> None:
    targets = REGRESSION[name].to(dtype)
    spread = float(targets.double().std()) or 1.0
    predicted = (targets.double() + 0.3 * spread * draws(len(targets)).flip(0)).to(dtype)
    y, p = targets.double().numpy(), predicted.double().numpy()
    values = metrics(Regression(scale=7.0), predicted, targets)
    assert close(values["loss"], mean_squared_error(y, p))
    assert close(values["rmse"], 7 * math.sqrt(mean_squared_error(y, p)))
    expected = 0.0 if np.ptp(y) == 0 else r2_score(y, p)  # the value of scikit-learn except for the rounded mean
    assert close(values["r2"], expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_r2_of_a_constant_target_is_1_if_it_is_predicted_and_else_0(dtype: torch.dtype) -> None:
    targets = torch.full((5,), 3.0)
    assert metrics(Regression(), targets.to(dtype), targets)["r2"] == r2_score([3.0] * 5, [3.0] * 5) == 1.0
    assert metrics(Regression(), targets.to(dtype) + 1, targets)["r2"] == r2_score([3.0] * 5, [4.0] * 5) == 0.0


def test_the_r2_of_torchmetrics_is_wrong_for_small_targets() -> None:
    targets, noise = draws(300), 0.3 * draws(300).flip(0)
    exact = float(Regression().metrics(targets + noise, targets, full=True)["r2"])
    assert float(torchmetrics_r2(targets + noise, targets)) == pytest.approx(exact, rel=1e-12)
    small = 1e-8
    assert float(torchmetrics_r2(small * (targets + noise), small * targets)) == 1.0  # so it is not used
    assert close(float(Regression().metrics(small * (targets + noise), small * targets, full=True)["r2"]), exact)


def test_outputs_in_half_precision_are_summed_in_float64() -> None:
    targets = 100 * draws(5000).float()
    for dtype in DTYPES[1:3]:
        predicted = (targets + 10).to(dtype)
        values = metrics(Regression(), predicted, targets, batch=1024)
        y, p = targets.double().numpy(), predicted.double().numpy()
        assert close(values["loss"], mean_squared_error(y, p))
        assert close(values["r2"], r2_score(y, p))


@pytest.mark.slow
def test_ten_million_rows_are_summed_exactly() -> None:
    rows = 10_000_000
    targets = torch.full((rows,), 0.1)
    values = Regression().metrics(torch.zeros(rows), targets, full=False)
    assert close(float(values["loss"]), float(targets[0].double() ** 2))
    logits = torch.zeros(2, 2)
    logits[1, 1] = 3.0
    labels = torch.zeros(2, dtype=torch.int64)
    of_two_rows = Classification(2).metrics(logits, labels, full=True)
    of_many_rows = Classification(2).metrics(logits.repeat(rows // 10, 1), labels.repeat(rows // 10), full=True)
    for name, value in of_two_rows.items():
        assert float(of_many_rows[name]) == pytest.approx(float(value), rel=1e-10), name


# classification


def classes_of(*counts: int) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


CLASSIFICATION: dict[str, tuple[Tensor, Tensor]] = {
    "usual": (2 * draws(200, 5), torch.arange(200) % 5),
    "logits of 1e4": (1e4 * draws(200, 5), torch.arange(200) % 5),
    "all logits far off": (draws(200, 5) + 1e6, torch.arange(200) % 5),
    "probabilities that underflow": (torch.eye(5).double()[torch.arange(200) % 5] * 900, (torch.arange(200) + 1) % 5),
    "sure and right": (torch.eye(5).double()[torch.arange(200) % 5] * 30, torch.arange(200) % 5),
    "flat logits": (torch.zeros(200, 5, dtype=torch.float64), torch.arange(200) % 5),
    "imbalanced": (draws(200, 5), classes_of(196, 1, 1, 1, 1)),
    "classes absent from the targets": (draws(200, 5), classes_of(100, 0, 100, 0, 0)),
    "one class": (draws(200, 5), classes_of(0, 200, 0, 0, 0)),
    "one row": (draws(1, 5), torch.tensor([3])),
    "two classes": (draws(200, 2), torch.arange(200) % 2),
    "many classes": (draws(200, 1000), torch.arange(200)),
}


def calibration_by_hand(probabilities: np.ndarray, targets: np.ndarray) -> float:
    confidence, correct = probabilities.max(-1), probabilities.argmax(-1) == targets
    bins = np.minimum((confidence * 15).astype(int), 14)
    return float(sum(abs((confidence - correct)[bins == b].sum()) for b in range(15)) / len(targets))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_classification(name: str, dtype: torch.dtype) -> None:
    logits, targets = CLASSIFICATION[name]
    logits = logits.to(dtype)
    if not logits.isfinite().all():
        pytest.skip("the dtype has no such logits")
    classes = logits.shape[-1]
    values = metrics(Classification(classes), logits, targets)
    x, y, predicted = logits.double().numpy(), targets.numpy(), logits.double().argmax(-1).numpy()
    shifted = x - x.max(-1, keepdims=True)
    log_p = shifted - np.log1p(np.exp(np.sort(shifted)[:, :-1]).sum(-1, keepdims=True))
    assert close(values["loss"], -log_p[np.arange(len(y)), y].mean())
    if log_p.min() > -30:  # scikit-learn expects probabilities and clips them
        assert values["loss"] == pytest.approx(log_loss(y, np.exp(log_p), labels=range(classes)), rel=1e-12)
    assert close(values["accuracy"], accuracy_score(y, predicted))
    assert close(values["balanced_accuracy"], balanced_accuracy_score(y, predicted))
    probabilities = logits.double().softmax(-1).numpy()
    assert values["ece"] == pytest.approx(calibration_by_hand(probabilities, y), rel=1e-12, abs=1e-15)


def test_a_network_may_reuse_the_memory_of_its_outputs() -> None:
    memory, collected = torch.zeros(2, dtype=torch.float64), []
    for value in (1.0, 2.0):
        collected.append(Regression().collected(memory.fill_(value), torch.full((2,), value)))
    outputs, targets = map(torch.cat, zip(*collected, strict=True))
    assert float(Regression().metrics(outputs, targets, full=True)["loss"]) == 0.0


# language modeling

TEXTS: dict[str, tuple[Tensor, Tensor]] = {
    "usual": (draws(7, 6, 9), torch.arange(42).reshape(7, 6) % 9),
    "logits of 1e4": (1e4 * draws(7, 6, 9), torch.arange(42).reshape(7, 6) % 9),
    "sure and right": (
        30 * torch.eye(9).double()[torch.arange(42).reshape(7, 6) % 9],
        torch.arange(42).reshape(7, 6) % 9,
    ),
    "sure and wrong": (
        600 * torch.eye(9).double()[torch.arange(42).reshape(7, 6) % 9],
        (torch.arange(42).reshape(7, 6) + 1) % 9,
    ),
    "one place": (draws(1, 1, 9), torch.tensor([[4]])),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", TEXTS)
def test_language_modeling(name: str, dtype: torch.dtype) -> None:
    logits, targets = TEXTS[name]
    logits, targets = logits.to(dtype), targets.clone()
    characters = torch.arange(1, 10)
    if len(targets) > 1:
        targets[-1, 2:] = -100  # windows of unequal lengths
    values = metrics(LanguageModeling(characters), logits, targets, batch=3)
    counted = (targets >= 0).numpy()
    x, y = logits.double().numpy()[counted], targets.numpy()[counted]
    shifted = x - x.max(-1, keepdims=True)
    log_p = shifted - np.log1p(np.exp(np.sort(shifted)[:, :-1]).sum(-1, keepdims=True))
    nats = -log_p[np.arange(len(y)), y]
    assert close(values["loss"], nats.mean())
    assert values["perplexity"] == pytest.approx(_exp(nats.mean()), rel=1e-10)
    assert close(values["bits_per_character"], nats.sum() / math.log(2) / characters.numpy()[y].sum())


def _exp(value: Any) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(np.exp(value))
