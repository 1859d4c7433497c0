"""Several target columns are the labels of a multi-label classification."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from reglab.config.check_run import check
from reglab.config.compose import Composer
from reglab.data import Csv
from reglab.schema.errors import ConfigError
from reglab.tasks import Multilabel, task_of
from reglab.training.run import run
from tests.conftest import Compose
from tests.errors import config_error

AXES = {"seed": 0, "split_seed": 0}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    draws = np.random.default_rng(0)
    inputs = draws.normal(size=(80, 3))
    labels = (inputs + draws.normal(size=(80, 3)) > 0.3).astype(int)
    columns = {f"x{i}": inputs[:, i] for i in range(3)}
    columns |= {"happy": labels[:, 0], "loud": labels[:, 1].astype(bool), "fast": labels[:, 2]}
    pd.DataFrame(columns).to_csv(tmp_path / "songs.csv", index=False)
    return tmp_path / "songs.csv"


def test_labels_are_targets_of_zeros_and_ones(table: Path) -> None:
    data = Csv(path=str(table), target=["happy", "loud"], ignore=["fast"], **AXES)
    data.setup()
    read = pd.read_csv(table)
    assert data.kind == "multi-label classification"
    assert (data.outputs, data.class_names, data.input_shape) == (2, ("happy", "loud"), (3,))
    expected = read[["happy", "loud"]].to_numpy(dtype=np.float32)
    for part, rows in ((data.train, data.parts.train), (data.test, data.parts.test)):
        assert torch.equal(part.targets, torch.from_numpy(expected[rows]))
    task = task_of(data)
    assert isinstance(task, Multilabel)
    assert task.labels == ("happy", "loud")


def test_label_sets_split_the_rows_as_a_regression_does(table: Path) -> None:
    """Label sets are split at random, without classes to stratify by."""
    several = Csv(path=str(table), target=["happy", "fast"], **AXES)
    regression = Csv(path=str(table), target="x0", **AXES)
    for data in (several, regression):
        data.setup()
    assert np.array_equal(several.parts.test, regression.parts.test)


@pytest.mark.parametrize(
    ("settings", "key", "word"),
    [
        ({"target": ["happy", "x0"]}, "data.target", "0 and 1"),
        ({"target": ["happy", "nope"]}, "data.target", "no such column"),
        ({"target": ["happy", "loud"], "kind": "regression"}, "data.kind", "several"),
        ({"target": "happy", "kind": "multi-label classification"}, "data.target", "one column"),
        ({"target": ["happy", "loud"], "split_column": "loud", "split_by": "groups"}, "data.split_column", "target"),
        ({"target": ["happy", "loud"], "ignore": ["loud"]}, "data.ignore", "target"),
        ({"target": ["happy", "loud"], "label_noise": 0.1}, "data.label_noise", "class labels"),
    ],
)
def test_invalid_labels_are_refused(table: Path, settings: dict, key: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        Csv(path=str(table), **AXES, **settings).setup()
    assert caught.value.key == key


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["regularizer=label_smoothing"], "regularizer"),
        (["model=llama"], "model"),
        (["task.loss=huber"], "task.loss"),
        (["data.label_noise=0.2"], "data.label_noise"),
    ],
)
def test_incompatible_settings_are_refused_from_the_config(table: Path, overrides: list[str], key: str) -> None:
    typed = ["data=csv", f"data.path={table}", "data.target=[happy,loud]", *overrides]
    with pytest.raises(ConfigError) as caught:
        check(Composer().compose(typed))
    assert caught.value.key == key


MONITOR = "regularizer.early_stopping.monitor"


def monitored(table: Path, metric: str, *overrides: str) -> list[str]:
    typed = ["data=csv", f"data.path={table}", "data.target=[happy,loud]", "regularizer=early_stopping"]
    return [*typed, f"{MONITOR}={metric}", *overrides]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("val/auroc/hapy", "hapy is not a label ... happy, loud"),
        ("val/f1_macro/fast", "fast is not a label ... happy, loud"),
        ("val/brier/happy", "did you mean val/brier?"),  # not measured per label
        ("test/auroc/happy", "must be one of val/loss"),
        ("best/val/auroc/happy", "did you mean val/auroc?"),
    ],
)
def test_a_metric_of_a_wrong_label_is_refused_from_the_config(table: Path, metric: str, expected: str) -> None:
    with config_error(f"{MONITOR}={metric}: {expected}"):
        check(Composer().compose(monitored(table, metric)))


def test_a_metric_of_one_label_needs_a_multilabel_classification(table: Path) -> None:
    overrides = ["data.target=happy", "data.kind=classification"]
    with config_error(f"{MONITOR}=val/auroc/happy: multi-label"):
        check(Composer().compose(monitored(table, "val/auroc/happy", *overrides)))


@pytest.mark.slow
def test_early_stopping_on_a_metric_of_one_label(table: Path, compose_cfg: Compose, store_uri: str) -> None:
    """Only the metric of this label is tracked per epoch; training ends two epochs after its maximum."""
    metric = "val/auroc/loud"
    overrides = monitored(table, metric, "regularizer.early_stopping.patience=2", "trainer.max_epochs=40")
    result = run(compose_cfg(*overrides, "optimizer.lr=0.05", "data.ignore=[fast]"))
    client = MlflowClient(store_uri)
    history = [entry.value for entry in client.get_metric_history(result.run_id, metric)]
    assert len(history) < 40
    assert history.index(max(history)) == len(history) - 3
    tracked = client.get_run(result.run_id).data.metrics
    assert "val/auroc/happy" not in tracked
    assert "val/auroc" not in tracked
    assert tracked["best/val/auroc/loud"] in history


@pytest.mark.slow
def test_a_monitored_metric_that_the_validation_rows_do_not_define_is_refused(
    table: Path, compose_cfg: Compose
) -> None:
    rows = pd.read_csv(table)
    rows["loud"] = [1, *[0] * (len(rows) - 1)]
    rows["part"] = ["train"] * 40 + ["val"] * 20 + ["test"] * 20
    rows.to_csv(table, index=False)
    overrides = monitored(table, "val/auroc/loud", "data.split_column=part", "data.ignore=[fast]")
    with config_error(f"{MONITOR}=val/auroc/loud: not defined"):
        run(compose_cfg(*overrides, "data.split_by=parts"))
