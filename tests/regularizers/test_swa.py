from pathlib import Path
from typing import Any

import mlflow
import pytest
import pytorch_lightning as pl
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from reglab.models import MLP
from reglab.regularizers import SWA, MaxNorm, penalized
from reglab.regularizers._schedules import early
from reglab.regularizers.swa import LateAverage, skipped
from reglab.training.build import build_data
from reglab.training.callbacks import ScheduledStrengths
from reglab.training.module import Module
from reglab.training.run import run
from tests.conftest import Compose
from tests.errors import config_error
from tests.regularizers.lightning_runs import Shuffled, fitted
from tests.regularizers.steps import same_state

NORM = {"norm": "batch"}


def late_of(trainer: pl.Trainer) -> LateAverage:
    return next(callback for callback in trainer.callbacks if isinstance(callback, LateAverage))


class Trace(pl.Callback):
    """Record the weights after each step and the metrics of each evaluation."""

    def __init__(self) -> None:
        self.weights: list[list[Tensor]] = []
        self.metrics: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.weights.append([parameter.detach().clone() for parameter in pl_module.parameters()])

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.metrics.append(dict(pl_module.metrics))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "steps", "expected"),
    [(0.75, 100, 75), (0.9, 10, 9), (0, 10, 0), (1, 10, 10), (0.5, 3, 2), (0.99, 12, 12), (0.1, 1, 0)],
)
def test_steps_before_the_start(start: float, steps: int, expected: int) -> None:
    assert skipped(start, steps) == expected
    assert skipped(float(torch.tensor(start, dtype=torch.float32)), steps) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "settings"),
    [
        (0.0, {}),
        (0.5, {}),
        (0.7, {"max_steps": 7}),  # inside the second epoch
        (0.5, {"scheduler": lambda optimizer, steps: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)}),
    ],
)
def test_it_is_the_arithmetic_mean(double: None, start: float, settings: dict[str, Any]) -> None:
    """Compare with the mean of the late weights, and with AveragedModel of torch."""
    trace = Trace()
    on, trainer = fitted(SWA(start), extra=[trace], **settings)
    late = trace.weights[skipped(start, len(trace.weights)) :]
    assert len(trace.weights) == trainer.global_step
    assert late_of(trainer).steps == len(late) > 1
    for place, weight in enumerate(on.parameters()):
        expected = torch.stack([weights[place] for weights in late]).mean(0)
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-13, atol=1e-15)

    other, _ = fitted(epochs=1)
    oracle = AveragedModel(other.fit.model)
    for weights in late:
        for parameter, weight in zip(other.fit.model.parameters(), weights, strict=True):
            parameter.data.copy_(weight)
        oracle.update_parameters(other.fit.model)
    for weight, expected in zip(on.parameters(), oracle.module.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, rtol=1e-13, atol=1e-15)


def test_validation_evaluates_the_weights_and_after_the_start_the_mean() -> None:
    """Averaging starts after 12 of 16 steps: three evaluations of the weights, then one of the mean."""
    trace, plain = Trace(), Trace()
    on, trainer = fitted(SWA(0.75), epochs=4, extra=[trace], net=NORM)
    fitted(epochs=4, extra=[plain], net=NORM)
    assert trace.metrics[:3] == plain.metrics[:3]
    assert trace.metrics[3] != plain.metrics[3]
    trainer.validate(on, trainer.val_dataloaders, verbose=False)
    assert trace.metrics[4] == trace.metrics[3], "as of the finished model"


def test_the_best_weights_include_statistics() -> None:
    """If the mean has the lowest val/loss, the best weights include its statistics."""
    on, _ = fitted(SWA(0.0), epochs=1, net=NORM)
    assert on.best is not None
    for name, tensor in on.fit.model.state_dict().items():
        assert torch.equal(on.best[name], tensor), name


def test_off_is_bit_equal_under_lightning() -> None:
    trace, plain = Trace(), Trace()
    on, _ = fitted(SWA(1.0), net=NORM, extra=[trace])
    none, _ = fitted(net=NORM, extra=[plain])
    assert same_state(on.fit.model, none.fit.model)
    assert trace.metrics == plain.metrics


def test_a_start_after_the_end_leaves_the_weights_and_not_the_initial_ones() -> None:
    """.99 of 12 steps are 12."""
    on, trainer = fitted(SWA(0.99))
    none, _ = fitted()
    assert late_of(trainer).steps == 0
    assert same_state(on.fit.model, none.fit.model)


def test_gradients_of_several_batches_are_one_step() -> None:
    _, trainer = fitted(SWA(0.5), epochs=3, accumulate_grad_batches=2)
    assert late_of(trainer).steps == 3
    assert trainer.global_step == 6


def test_it_averages_constrained_weights() -> None:
    on, _ = fitted(SWA(0.5), MaxNorm(max_norm=0.3))
    for weight in penalized(on.fit.model).values():
        assert (weight.norm(dim=1) <= 0.3 + 1e-6).all()


def same_end(first: Module, second: Module) -> bool:
    assert first.best is not None
    assert second.best is not None
    same_best = all(torch.equal(first.best[name], second.best[name]) for name in second.best)
    return same_best and same_state(first.fit.model, second.fit.model)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_resumed_run_ends_on_the_same_mean(tmp_path: Path, epoch: int) -> None:
    """Resume from a checkpoint before, at and after the start of averaging."""

    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch + 1 == epoch:
                trainer.save_checkpoint(tmp_path / "saved.ckpt")

    uninterrupted, _ = fitted(SWA(0.5), epochs=4, net=NORM, extra=[Save()])
    resumed, trainer = fitted(SWA(0.5), epochs=4, net=NORM, checkpoint=str(tmp_path / "saved.ckpt"))
    assert late_of(trainer).steps == 8
    assert same_end(resumed, uninterrupted)


def test_a_longer_resumed_training_discards_the_earlier_mean(tmp_path: Path) -> None:
    """The two steps averaged in a training of 4 are before the start in one of 12."""
    _, first = fitted(SWA(0.5), epochs=1)
    first.save_checkpoint(tmp_path / "first.ckpt")
    resumed, trainer = fitted(SWA(0.5), checkpoint=str(tmp_path / "first.ckpt"))
    uninterrupted, _ = fitted(SWA(0.5))
    assert late_of(trainer).steps == 6
    assert same_state(resumed.fit.model, uninterrupted.fit.model)


def test_a_start_that_is_scheduled_is_resumed(tmp_path: Path) -> None:
    """The average includes the four steps of the first epoch and the last three of twelve."""

    def scheduled(**settings: Any) -> tuple[Module, pl.Trainer]:
        method = SWA(0.75)
        moves = ScheduledStrengths({(method, "start"): lambda epoch: 0.0 if epoch == 1 else 0.75})
        return fitted(method, extra=[moves, *settings.pop("extra", ())], **settings)

    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch + 1}.ckpt")

    uninterrupted, trainer = scheduled(extra=[Save()])
    resumed, resumed_trainer = scheduled(checkpoint=str(tmp_path / "2.ckpt"))
    assert late_of(trainer).steps == late_of(resumed_trainer).steps == 7
    assert same_end(resumed, uninterrupted)


def ended_early(**settings: Any) -> tuple[Module, pl.Trainer]:
    """Train for six epochs of five steps, with averaging after step six and up to epoch two."""
    method = SWA(0.2)
    moves = ScheduledStrengths({(method, "start"): early(0.2, 1.0, 2)})
    return fitted(method, epochs=6, net=NORM, loader=Shuffled(), extra=[moves, *settings.pop("extra", ())], **settings)


def test_an_early_end_of_averaging_restores_the_weights() -> None:
    trace, plain_trace = Trace(), Trace()
    on, trainer = ended_early(extra=[trace])
    plain, _ = fitted(epochs=6, net=NORM, loader=Shuffled(), extra=[plain_trace])
    assert late_of(trainer).steps == 0
    assert same_state(on.fit.model, plain.fit.model)
    different = [a["val/loss"] != b["val/loss"] for a, b in zip(trace.metrics, plain_trace.metrics, strict=True)]
    assert different == [False, True, False, False, False, False]


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [2, 3, 5])
def test_an_early_end_is_resumed(tmp_path: Path, epoch: int) -> None:
    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch + 1 == epoch:
                trainer.save_checkpoint(tmp_path / "saved.ckpt")

    uninterrupted, _ = ended_early(extra=[Save()])
    resumed, _ = ended_early(checkpoint=str(tmp_path / "saved.ckpt"))
    assert same_end(resumed, uninterrupted)


def test_a_training_without_a_length_is_refused() -> None:
    with config_error("regularizer=swa: unknown ... set max_epochs"):
        fitted(SWA(0.5), epochs=-1, max_time={"seconds": 1})


@pytest.mark.slow
def test_a_tracked_run_is_evaluated_tested_and_saved_as_the_mean(compose_cfg: Compose, store_uri: str) -> None:
    """The run ends in its third epoch of 17 steps: two evaluations of the weights, one of the mean."""
    client = MlflowClient(store_uri)
    keys = (
        "model.hidden_sizes=[16]",
        "model.norm=batch",
        "tracking.weights=both",
        "trainer.max_epochs=9",
        "trainer.max_steps=45",
    )
    on, none = (run(compose_cfg(*keys, f"regularizer={name}")) for name in ("swa", "none"))
    losses, plain = ([m.value for m in client.get_metric_history(r.run_id, "val/loss")] for r in (on, none))
    assert len(losses) == len(plain) == 3
    assert losses[:2] == plain[:2]
    assert losses[2] != plain[2]
    data = build_data(compose_cfg(*keys))
    for file, loss in (("last", losses[2]), ("best", min(losses))):
        net = MLP(data.input_shape, data.outputs, [16], norm="batch")
        path = mlflow.artifacts.download_artifacts(
            run_id=on.run_id, artifact_path=f"weights/{file}.safetensors", tracking_uri=store_uri
        )
        net.load_state_dict(load_file(path))
        with torch.no_grad():
            val_loss = torch.nn.functional.cross_entropy(net.eval()(data.val.inputs), data.val.targets)
        assert val_loss.item() == pytest.approx(loss, rel=1e-5)
