"""Tracked runs: metrics recomputed from saved weights, tags, artifacts, divergence and failures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from omegaconf import OmegaConf
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, mean_squared_error, r2_score

from reglab.models import MLP, Linear
from reglab.schema.errors import ConfigError, Diverged
from reglab.training.build import build_data
from reglab.training.run import run
from reglab.training.run_record import tags
from tests.conftest import Compose
from tests.errors import config_error

SMALL = ("model.hidden_sizes=[16]", "trainer.max_epochs=3", "optimizer.lr=0.01")


@pytest.fixture
def client(store_uri: str) -> MlflowClient:
    return MlflowClient(store_uri)


def artifact(client: MlflowClient, run_id: str, path: str) -> Path:
    root = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    assert (root / path).exists(), sorted(p.name for p in root.rglob("*"))
    return root / path


@pytest.mark.slow
def test_test_metrics_are_those_of_the_best_weights(compose_cfg: Compose, client: MlflowClient) -> None:
    cfg = compose_cfg(
        *SMALL, "regularizer=dropout", "data.label_noise=0.2", "trainer.max_epochs=8", "optimizer.lr=0.03"
    )
    result = run(cfg)
    tracked = client.get_run(result.run_id).data.metrics
    data = build_data(cfg)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
    state = load_file(artifact(client, result.run_id, "weights/best.safetensors"))
    # The saved weights load into a plain torch network.
    net.load_state_dict(_renamed(state))
    with torch.no_grad():
        logits = net(data.test.inputs)
        train = net(data.train.inputs[: len(data.val.targets)])
        val = net(data.val.inputs)
    truth = data.test.targets.numpy()
    test_loss = log_loss(truth, logits.double().softmax(-1))
    assert tracked["test/loss"] == pytest.approx(test_loss, rel=1e-5)
    assert tracked["test/accuracy"] == pytest.approx(accuracy_score(truth, logits.argmax(-1)))
    assert tracked["test/balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, logits.argmax(-1)))
    noisy = data.train.targets[: len(data.val.targets)].numpy()
    train_loss = log_loss(noisy, train.double().softmax(-1), labels=range(10))
    assert tracked["gap/loss"] == pytest.approx(test_loss - train_loss, rel=1e-4)
    history = {m.step: m.value for m in client.get_metric_history(result.run_id, "val/loss")}
    assert sorted(history) == list(range(1, 9))
    best = log_loss(data.val.targets.numpy(), val.double().softmax(-1))
    assert min(history.values()) == pytest.approx(best, rel=1e-5) == pytest.approx(tracked["best/val/loss"], rel=1e-5)
    epoch = min(history, key=history.__getitem__)
    train_history = {m.step: m.value for m in client.get_metric_history(result.run_id, "train/loss")}
    assert train_history[epoch] == pytest.approx(train_loss, rel=1e-4)  # evaluated without dropout


def _renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = {"hidden_0": "1", "output": "3"}
    return {f"{names[key.split('.')[0]]}.{key.split('.')[1]}": tensor for key, tensor in state.items()}


def test_last_weights_are_those_of_the_last_step(compose_cfg: Compose, client: MlflowClient) -> None:
    result = run(compose_cfg(*SMALL))
    cfg = compose_cfg(*SMALL)
    data = build_data(cfg)
    net = MLP(data.input_shape, data.outputs, [16])
    net.load_state_dict(load_file(artifact(client, result.run_id, "weights/last.safetensors")))
    last = client.get_metric_history(result.run_id, "val/loss")[-1]
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(net(data.val.inputs), data.val.targets)
    assert (last.step, last.value) == (3, pytest.approx(loss.item(), rel=1e-5))


def test_regression_metrics_are_in_the_units_of_the_target(compose_cfg: Compose, client: MlflowClient) -> None:
    cfg = compose_cfg("data=diabetes", "model=linear", "trainer.max_epochs=30", "optimizer.lr=0.01")
    result = run(cfg)
    tracked = client.get_run(result.run_id).data.metrics
    data = build_data(cfg)
    net = Linear(data.input_shape, 1)
    net.load_state_dict(load_file(artifact(client, result.run_id, "weights/best.safetensors")))
    with torch.no_grad():
        predicted = net(data.test.inputs).numpy() * data.target_scale + data.target_mean
    truth = data.test.targets.numpy() * data.target_scale + data.target_mean
    assert 25 <= truth.round().min() < truth.round().max() <= 346
    assert np.allclose(truth, truth.round(), atol=1e-3)
    assert tracked["test/rmse"] == pytest.approx(mean_squared_error(truth, predicted) ** 0.5, rel=1e-5)
    assert tracked["test/r2"] == pytest.approx(r2_score(truth, predicted), rel=1e-4)
    assert tracked["test/r2"] > 0.3


def test_tags_params_and_artifacts_of_the_contract(compose_cfg: Compose, client: MlflowClient) -> None:
    overrides = [*SMALL, "regularizer=[max_norm,dropout,l1]", "regularizer.dropout.p=0.25", "seed=3"]
    result = run(compose_cfg(*overrides), overrides)
    tracked = client.get_run(result.run_id)
    tags = tracked.data.tags
    assert tracked.info.status == "FINISHED"
    assert {k: tags[k] for k in ("strategy", "data", "model", "seed", "split_seed", "phase")} == {
        "strategy": "dropout+l1+max_norm",
        "data": "digits",
        "model": "mlp",
        "seed": "3",
        "split_seed": "3",
        "phase": "single",
    }
    assert {"config_hash", "git_commit", "split_hash", "init_hash", "order_hash", "setting", "owner"} <= set(tags)
    assert tags["cell"] == "dropout+l1+max_norm on digits mlp"
    assert (tags["task"], tags["rows"], tags["test_rows"]) == ("classification", "1797", "359")
    assert tracked.data.params == {
        "data": "digits",
        "model": "mlp",
        "optimizer": "adamw",
        "optimizer.lr": "0.01",
        "seed": "3",
        "regularizer.dropout.p": "0.25",
        "regularizer.dropout.input_p": "0.0",
        "regularizer.l1.strength": tracked.data.params["regularizer.l1.strength"],
        "regularizer.max_norm.max_norm": tracked.data.params["regularizer.max_norm.max_norm"],
    }
    metrics = set(tracked.data.metrics)
    assert metrics >= {f"{part}/{name}" for part in ("train", "val") for name in ("loss", "accuracy")}
    assert metrics >= {"test/loss", "test/accuracy", "test/balanced_accuracy", "test/ece", "gap/loss", "train/penalty"}
    assert metrics >= {"model/sharpness", "model/norm/hidden_0.weight", "model/norm/output.weight"}
    assert metrics >= {"time/train_s", "time/step_ms", "model/parameters", "model/zero_fraction"}
    assert tracked.data.metrics["model/parameters"] == 64 * 16 + 16 + 16 * 10 + 10
    config = OmegaConf.load(artifact(client, result.run_id, "config.yaml"))
    assert config.regularizer.dropout.p == 0.25
    assert OmegaConf.load(artifact(client, result.run_id, "overrides.yaml")) == overrides
    environment = json.loads(artifact(client, result.run_id, "environment.json").read_text())
    assert environment["packages"]["torch"].startswith("2.")


@pytest.mark.slow
def test_strategies_with_one_seed_share_split_weights_and_order(compose_cfg: Compose, client: MlflowClient) -> None:
    def identity_hashes(*overrides: str) -> tuple[str, ...]:
        tags = client.get_run(run(compose_cfg("trainer=fast", *overrides)).run_id).data.tags
        return tuple(tags[name] for name in ("split_hash", "init_hash", "order_hash"))

    none = identity_hashes("regularizer=none", "data.label_noise=0.1")
    assert identity_hashes("regularizer=[dropout,l2,max_norm]", "data.label_noise=0.1") == none
    other = identity_hashes("regularizer=none", "data.label_noise=0.1", "seed=1")
    assert all(a != b for a, b in zip(none, other, strict=True))
    fixed = identity_hashes("regularizer=none", "seed=1", "data.split_seed=0")
    assert fixed[0] != none[0]  # label noise depends on the seed
    assert fixed[1] == other[1]


def test_the_cell_tag_contains_strategy_data_model_and_axes(compose_cfg: Compose) -> None:
    cfg = compose_cfg("regularizer=[l1,dropout]", "data.label_noise=0.1", "data.train_size=50", "model=linear")
    head, *axes = tags(cfg)["cell"].split(", ")
    assert head == "dropout+l1 on digits linear"
    assert axes == ["train_size 50", "label_noise 0.1"]


def test_max_steps_inside_an_epoch_is_followed_by_one_validation(compose_cfg: Compose, client: MlflowClient) -> None:
    result = run(compose_cfg(*SMALL, "trainer.max_steps=20"))  # 17 batches an epoch
    history = client.get_metric_history(result.run_id, "val/loss")
    assert len(history) == 2
    assert len({m.step for m in history}) == 2


def test_a_fraction_of_zero_skips_its_stage(compose_cfg: Compose, client: MlflowClient) -> None:
    result = run(compose_cfg(*SMALL, "data.val_fraction=0", "data.test_fraction=0"))
    metrics = client.get_run(result.run_id).data.metrics
    assert "train/loss" in metrics
    assert not [name for name in metrics if name.startswith(("val/", "test/", "gap/"))]
    best, last = (load_file(artifact(client, result.run_id, f"weights/{n}.safetensors")) for n in ("best", "last"))
    assert all(torch.equal(best[name], last[name]) for name in best)


@pytest.mark.slow
@pytest.mark.parametrize(("weights", "names"), [("best", {"best"}), ("none", set()), ("both", {"best", "last"})])
def test_weights_that_are_kept(compose_cfg: Compose, client: MlflowClient, weights: str, names: set[str]) -> None:
    result = run(compose_cfg("trainer=fast", f"tracking.weights={weights}"))
    assert {Path(f.path).stem for f in client.list_artifacts(result.run_id, "weights")} == names


def test_divergence_is_a_failed_run_with_its_step(compose_cfg: Compose, client: MlflowClient) -> None:
    with pytest.raises(Diverged) as caught:
        run(compose_cfg("data=diabetes", "optimizer=sgd", "optimizer.lr=1e6", "trainer.max_epochs=5"))
    tracked = client.get_run(caught.value.run_id)  # type: ignore[attr-defined]
    assert tracked.info.status == "FAILED"
    assert tracked.data.tags["diverged"] == "true"
    assert int(tracked.data.tags["diverged_step"]) == caught.value.step > 0
    assert "Diverged" in artifact(client, tracked.info.run_id, "error.txt").read_text()
    assert all(np.isfinite(value) for value in tracked.data.metrics.values())


@pytest.mark.slow
def test_a_first_loss_that_is_not_finite_is_not_blamed_on_the_learning_rate(
    compose_cfg: Compose, client: MlflowClient
) -> None:
    with pytest.raises(Diverged) as caught:
        run(compose_cfg("model=torch", "model.target=tests.training.networks.Undefined", "data=wine"))
    tracked = client.get_run(caught.value.run_id)  # type: ignore[attr-defined]
    assert tracked.data.tags["diverged_step"] == "0"
    assert "optimizer.lr" not in str(caught.value)
    assert "optimizer.lr" in str(Diverged(1))


def test_divergence_in_the_last_step_is_detected(compose_cfg: Compose, client: MlflowClient) -> None:
    keys = ("data.batch_size=null", "optimizer=sgd", "optimizer.lr=1e38", "trainer.max_epochs=1")
    with pytest.raises(Diverged) as caught:
        run(compose_cfg(*keys))
    assert caught.value.step == 1
    assert client.get_run(caught.value.run_id).info.status == "FAILED"  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_penalty_of_every_epoch_is_tracked(compose_cfg: Compose, client: MlflowClient) -> None:
    def penalties(*overrides: str) -> list[float]:
        result = run(compose_cfg(*SMALL, *overrides))
        return [m.value for m in client.get_metric_history(result.run_id, "train/penalty")]

    assert penalties("regularizer=none") == penalties("regularizer=l2", "regularizer.l2.strength=0") == [0, 0, 0]
    assert len(penalties("regularizer=l2")) == 3
    assert all(value > 0 for value in penalties("regularizer=l2"))


@pytest.mark.slow
def test_the_loss_added_by_methods_is_tracked(compose_cfg: Compose, client: MlflowClient) -> None:
    """With full batches, a step adds the penalty of the evaluation before it."""

    def history(name: str, *overrides: str) -> list[float]:
        result = run(compose_cfg(*SMALL, "data.batch_size=null", *overrides))
        return [m.value for m in client.get_metric_history(result.run_id, name)]

    added, penalty = (history(f"train/{name}", "regularizer=l2") for name in ("added_loss", "penalty"))
    assert added[1:] == pytest.approx(penalty[:-1], abs=1e-6)
    assert all(value > 0 for value in history("train/added_loss", "regularizer=activity_l1"))
    assert history("train/added_loss", "regularizer=l1") == []  # a proximal step, not a term of the loss


@pytest.mark.slow
def test_a_last_batch_of_one_row_is_refused_only_with_batch_norm(compose_cfg: Compose, client: MlflowClient) -> None:
    one_left = ("data.train_size=65", "data.batch_size=64")
    for norm in ("none", "layer"):
        run(compose_cfg(*SMALL, *one_left, f"model.norm={norm}"))
    run(compose_cfg(*one_left, "model=cnn", "model.norm=batch", "trainer.max_epochs=1"))
    with config_error("data.batch_size=64: 65 training rows"):
        run(compose_cfg(*SMALL, *one_left, "model.norm=batch"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=diabetes", "regularizer=label_smoothing"], "regularizer=label_smoothing"),
        (["data=breast_cancer", "model=cnn"], "model=cnn: needs images or 1-D signals"),
        (["data.train_size=5000"], "data.train_size=5000"),
        (["model=linear", "regularizer=dropout"], "regularizer=dropout"),
    ],
)
def test_an_error_that_depends_on_the_data_gives_a_failed_run_with_the_reason(
    compose_cfg: Compose, client: MlflowClient, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        run(compose_cfg(*overrides))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    tracked = client.get_run(caught.value.run_id)  # type: ignore[attr-defined]
    assert tracked.info.status == "FAILED"
    assert message in artifact(client, tracked.info.run_id, "error.txt").read_text()


@pytest.mark.slow
def test_a_finished_run_is_reused_only_with_resume(compose_cfg: Compose) -> None:
    first = run(compose_cfg("trainer=fast"))
    again = run(compose_cfg("trainer=fast"))
    reused = run(compose_cfg("trainer=fast", "resume=true"))
    assert not again.reused
    assert again.run_id != first.run_id
    assert reused.reused
    assert reused.run_id == again.run_id
    assert reused.metrics["test/loss"] == first.metrics["test/loss"] == again.metrics["test/loss"]
