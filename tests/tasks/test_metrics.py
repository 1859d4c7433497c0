"""Metrics equal scikit-learn, and each declared metric is computed by its task."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from sklearn import metrics as sk

from reglab.data.settings import check_target
from reglab.schema.metrics import METRICS, metrics_of
from reglab.schema.task_kinds import TASK_KINDS
from reglab.tasks import Classification, LanguageModeling, Multilabel, Regression
from tests.errors import config_error

TASKS = {
    "classification": Classification(4),
    "regression": Regression(2.0),
    "multi-label classification": Multilabel(("a", "b", "c")),
    "language modeling": LanguageModeling(),
}


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def classes(rows=301, absent=False):
    outputs = draw(rows, 4)
    targets = torch.randint(0, 3 if absent else 4, (rows,), generator=torch.Generator().manual_seed(1))
    outputs[torch.arange(rows), targets] += 0.7
    return outputs, targets


def label_sets(rows=257):
    outputs = draw(rows, 3)
    return outputs, (outputs + draw(rows, 3, seed=1) > 0.4).float()


@pytest.mark.parametrize("kind", sorted(TASK_KINDS))
def test_every_declared_metric_is_computed(kind):
    task = TASKS[kind]
    assert task.kind == kind
    for metric in metrics_of(kind):
        assert callable(getattr(task, metric.name))
    declared = {name for name in METRICS if kind in (METRICS[name].task_kinds or (kind,))}
    assert declared == {metric.name for metric in metrics_of(kind)}


@pytest.mark.parametrize("absent", [False, True])
def test_classification_equals_scikit_learn(absent):
    outputs, targets = classes(absent=absent)
    metrics = {
        name: float(value) for name, value in TASKS["classification"].metrics(outputs, targets, full=True).items()
    }
    p, predicted, y = outputs.softmax(-1).numpy(), outputs.argmax(-1).numpy(), targets.numpy()
    present = [c for c in range(4) if 0 < (y == c).sum() < len(y)]
    exact = {"rel": 1e-12}
    assert metrics["f1_macro"] == pytest.approx(sk.f1_score(y, predicted, average="macro"), **exact)
    each = [sk.roc_auc_score(y == c, p[:, c]) for c in present]
    assert metrics["auroc"] == pytest.approx(np.mean(each), **exact)
    each = [sk.average_precision_score(y == c, p[:, c]) for c in present]
    assert metrics["average_precision"] == pytest.approx(np.mean(each), **exact)
    assert metrics["log_likelihood"] == pytest.approx(-sk.log_loss(y, p, labels=range(4)), **exact)
    assert metrics["brier"] == pytest.approx(((p - np.eye(4)[y]) ** 2).sum(1).mean(), **exact)
    if not absent:
        assert metrics["auroc"] == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"), **exact)


def test_multilabel_equals_scikit_learn():
    outputs, targets = label_sets()
    metrics = {
        name: float(value)
        for name, value in TASKS[("multi-label classification")].metrics(outputs, targets, full=True).items()
    }
    p, predicted, y = outputs.sigmoid().numpy(), (outputs > 0).numpy(), targets.numpy().astype(int)
    exact = {"rel": 1e-12}
    assert metrics["f1_macro"] == pytest.approx(sk.f1_score(y, predicted, average="macro"), **exact)
    assert metrics["auroc"] == pytest.approx(sk.roc_auc_score(y, p), **exact)
    assert metrics["average_precision"] == pytest.approx(sk.average_precision_score(y, p), **exact)
    assert metrics["exact_match"] == pytest.approx(sk.accuracy_score(y, predicted), **exact)
    assert metrics["accuracy"] == pytest.approx(1 - sk.hamming_loss(y, predicted), **exact)
    each = [sk.log_loss(y[:, i], p[:, i], labels=[0, 1]) for i in range(3)]
    assert metrics["loss"] == pytest.approx(np.mean(each), **exact)
    assert metrics["log_likelihood"] == pytest.approx(-np.sum(each), **exact)
    assert metrics["f1_macro/b"] == pytest.approx(sk.f1_score(y[:, 1], predicted[:, 1]), **exact)
    assert metrics["auroc/c"] == pytest.approx(sk.roc_auc_score(y[:, 2], p[:, 2]), **exact)


def test_rankings_need_positive_and_negative_rows():
    outputs = draw(5, 4)
    assert TASKS["classification"].auroc(outputs, torch.full((5,), 2)) is None
    assert "auroc" not in TASKS["classification"].metrics(outputs, torch.full((5,), 2), full=True)


def test_torchmetrics_rounds_rankings_to_float32():
    """Rankings are computed by scikit-learn for this reason."""
    from torchmetrics.functional.classification import multiclass_auroc

    outputs, targets = classes()
    rounded = multiclass_auroc(outputs.softmax(-1), targets, 4)
    assert rounded.dtype == torch.float32
    assert float(rounded) != float(TASKS["classification"].auroc(outputs, targets))


def test_only_cheap_metrics_are_measured_in_every_epoch():
    outputs, targets = classes()
    assert set(TASKS["classification"].metrics(outputs, targets, full=False)) == {"loss", "accuracy"}
    metrics = TASKS["classification"].metrics(outputs, targets, full=False, more={"f1_macro"})
    assert set(metrics) == {"loss", "accuracy", "f1_macro"}


def test_mae_is_in_the_units_of_the_target():
    outputs, targets = draw(50), draw(50, seed=1)
    metrics = Regression(3.0).metrics(outputs, targets, full=True)
    assert float(metrics["mae"]) == pytest.approx(3 * sk.mean_absolute_error(targets, outputs), rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("squared", lambda e: (e**2).mean()),
        ("absolute", lambda e: e.abs().mean()),
        ("huber", lambda e: torch.where(e.abs() < 0.5, e**2 / 2, 0.5 * (e.abs() - 0.25)).mean()),
    ],
)
def test_losses_of_a_regression(loss, expected):
    outputs, targets = draw(50), draw(50, seed=1)
    task = Regression(2.0, loss, 0.5)
    torch.testing.assert_close(task.criterion(outputs, targets), expected(outputs - targets))
    metrics = task.metrics(outputs, targets, full=True)
    torch.testing.assert_close(metrics["loss"], expected(outputs - targets))
    assert float(metrics["rmse"]) == pytest.approx(2 * math.sqrt(((outputs - targets) ** 2).mean()))


TARGETS = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
DATA = SimpleNamespace(name="toy", outputs=3, train=SimpleNamespace(targets=TARGETS))


def test_balanced_class_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight

    weights = Classification.from_data(DATA, class_weights="balanced").class_weights
    y = TARGETS.numpy()
    assert weights.tolist() == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=y))


def test_class_weights_average_one_and_are_linear_in_the_targets():
    task = Classification.from_data(DATA, class_weights=[1.0, 2.0, 6.0])
    assert float(task.class_weights[TARGETS].mean()) == pytest.approx(1)
    assert (task.class_weights / task.class_weights[0]).tolist() == pytest.approx([1, 2, 6])
    outputs, targets = draw(8, 3).float(), TARGETS
    hard = task.criterion(outputs, targets)
    nll = torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
    torch.testing.assert_close(hard, (task.class_weights[targets] * nll).mean())
    torch.testing.assert_close(task.criterion(outputs, torch.eye(3)[targets]), hard)


def test_class_weights_need_one_for_each_class():
    from reglab.schema.errors import ConfigError

    with pytest.raises(ConfigError) as caught:
        Classification.from_data(DATA, class_weights=[1.0, 2.0])
    assert caught.value.key == "task.class_weights"


@pytest.mark.parametrize(
    ("label", "name"),
    [("laut (dB)?", "laut _dB_"), ("a/b", "a_b"), (".", "_"), ("größe, laut", "größe_ laut"), ("a//b", "a_b")],
)
def test_a_label_is_tracked_by_a_name_that_mlflow_accepts(label: str, name: str, tmp_path: Path) -> None:
    outputs, targets = torch.tensor([[1.0], [-1.0]]), torch.tensor([[1.0], [0.0]])
    metrics = Multilabel((label,)).metrics(outputs, targets, full=True)
    assert {f"auroc/{name}", f"f1_macro/{name}"} <= set(metrics)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    run = client.create_run(client.create_experiment("x", str(tmp_path))).info.run_id
    client.log_metric(run, f"test/auroc/{name}", 1.0)
    assert client.get_run(run).data.metrics == {f"test/auroc/{name}": 1.0}


def test_two_labels_of_one_name_are_refused_and_a_list_in_quotes_too() -> None:
    with config_error("data.target=[a/b,a(b]: a_b ... rename"):
        check_target("auto", ["a/b", "a(b"])
    with config_error("data.target='[sehr laut,müde]': ['sehr laut','müde']"):
        check_target("auto", "[sehr laut,müde]")
    with config_error("data.kind=regression: several"):
        check_target("regression", ["a", "b"])
    check_target("auto", ["a/b", "a"])
    check_target("regression", "y")
