import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from reglab.tasks import Classification


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(200, 5, generator=generator) * 2, torch.randint(0, 5, (200,), generator=generator)


def test_metrics_equal_scikit_learn(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = case
    metrics = Classification(5).metrics(logits, targets, full=True)
    predicted = logits.argmax(-1)
    assert metrics["loss"].item() == pytest.approx(log_loss(targets, logits.softmax(-1).double()), rel=1e-5)
    assert metrics["accuracy"].item() == pytest.approx(accuracy_score(targets, predicted))
    assert metrics["balanced_accuracy"].item() == pytest.approx(balanced_accuracy_score(targets, predicted))


def test_calibration_error_by_hand(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = case
    confidence, predicted = (a.numpy() for a in logits.softmax(-1).max(-1))
    bins = np.minimum((confidence * 15).astype(int), 14)
    correct = predicted == targets.numpy()
    expected = sum(abs(confidence[bins == b].sum() - correct[bins == b].sum()) for b in range(15)) / len(targets)
    metrics = Classification(5).metrics(logits, targets, full=True)
    assert metrics["ece"].item() == pytest.approx(expected, abs=1e-6)


def test_torchmetrics_agrees_within_float32_rounding(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = case[0].double(), case[1]
    metrics = Classification(5).metrics(logits, targets, full=True)
    accuracy = multiclass_accuracy(logits, targets, 5, average="micro")
    calibration = multiclass_calibration_error(logits.softmax(-1), targets, 5, n_bins=15, norm="l1")
    assert accuracy.dtype == calibration.dtype == torch.float32  # so neither is used
    assert float(metrics["accuracy"]) == pytest.approx(float(accuracy), rel=1e-6)
    assert float(metrics["ece"]) == pytest.approx(float(calibration), abs=1e-6)


def test_absent_classes_do_not_count_in_balanced_accuracy() -> None:
    logits = torch.eye(3)[[0, 1, 2, 2]]
    targets = torch.tensor([0, 1, 1, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns about missing classes
        expected = balanced_accuracy_score(targets, logits.argmax(-1))
    metrics = Classification(3).metrics(logits, targets, full=True)
    assert metrics["balanced_accuracy"].item() == pytest.approx(expected) == 0.5


def test_the_criterion_accepts_class_indices_and_probabilities(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = case
    task = Classification(5)
    hard = task.criterion(logits, targets)
    torch.testing.assert_close(task.criterion(logits, torch.eye(5)[targets]), hard)
    torch.testing.assert_close(hard, -logits.log_softmax(-1)[range(200), targets].mean())


def test_metrics_of_each_epoch_are_the_cheap_ones(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert set(Classification(5).metrics(*case, full=False)) == {"loss", "accuracy"}
