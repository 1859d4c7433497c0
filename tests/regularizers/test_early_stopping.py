import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from mlflow import MlflowClient
from rich.progress import Progress
from torch.utils.data import DataLoader

from reglab.models import Linear
from reglab.regularizers import EMA, EarlyStopping
from reglab.schema.errors import Diverged
from reglab.training.callbacks import EpochBar, EvaluationReporter
from reglab.training.module import Metrics, Module
from reglab.training.run import run
from reglab.training.trainer import make_trainer
from tests.conftest import Compose
from tests.errors import config_error
from tests.regularizers.lightning_runs import fitted
from tests.regularizers.steps import fit_of, same_state, task_of


def last_evaluation(losses: Sequence[float], patience: float) -> int:
    """Return the 1-based evaluation after which training ends: the lowest loss is `patience` evaluations old."""
    lowest, since = math.inf, 0
    for count, loss in enumerate(losses, 1):
        lowest, since = (loss, 0) if loss < lowest else (lowest, since + 1)
        if since >= patience:
            return count
    return len(losses)


def module_with(losses: Sequence[float]) -> type[Module]:
    """Return a module class whose evaluations, one per four steps, return these losses."""

    class FixedLosses(Module):
        def _evaluate(self, parts: tuple[str, ...], *, full: bool) -> Metrics:
            loss = losses[min(self.trainer.global_step // 4, len(losses)) - 1]
            return super()._evaluate(parts, full=full) | {"val/loss": loss}

    return FixedLosses


NAN, INF = math.nan, math.inf
SEQUENCES = [
    [5, 4, 3, 2, 1],
    [1, 2, 3, 4, 5, 6],
    [3, 2, 2, 2, 1, 1, 1, 1],
    [3, 4, 2, 5, 6, 1, 7, 8, 9],
    [2, NAN, 1, INF, NAN, NAN, 0],
    [NAN, NAN, NAN, NAN, 1],
]


@pytest.mark.slow
@pytest.mark.parametrize("patience", [1, 2, 3, math.inf])
@pytest.mark.parametrize("losses", SEQUENCES, ids=str)
def test_it_ends_after_the_right_evaluation(losses: list[float], patience: float) -> None:
    module, trainer = fitted(EarlyStopping(patience), epochs=len(losses), module_class=module_with(losses))
    last = last_evaluation(losses, patience)
    assert trainer.current_epoch == last
    assert trainer.global_step == 4 * last
    lowest = min((loss for loss in losses[:last] if loss < INF), default=None)
    assert module.best_metrics.get("val/loss") == lowest


def test_patience_counts_evaluations_and_not_epochs() -> None:
    """With an evaluation every two epochs, the losses after epochs 4 and 6 do not improve on that after epoch 2."""
    losses = [9.0, 1.0, 0.5, 2.0, 0.5, 3.0, 0.5, 4.0]
    _, trainer = fitted(EarlyStopping(2), epochs=8, module_class=module_with(losses), check_val_every_n_epoch=2)
    assert trainer.current_epoch == 6


def test_stopped_gradient_descent_is_a_spectral_filter(double: None) -> None:
    """T steps from 0 on a linear model give the share 1 - (1 - lr · s)^T of the least-squares weights per eigenvector.

    The validation row is the first eigenvector, with a target at the share 0.52. The share after seven steps,
    1 - 0.9^7 = 0.5217, is the nearest one, and training ends three steps later.
    """
    torch.manual_seed(0)
    rows, lr, slopes = 40, 0.5, torch.tensor([0.2, 0.02, 1.3])
    base, _ = torch.linalg.qr(torch.cat([torch.ones(rows, 1), torch.randn(rows, 3)], 1))
    inputs = base[:, 1:] * (slopes * rows / 2).sqrt()  # mean 0; the slopes are the eigenvalues of 2 / n · XᵀX
    targets = torch.randn(rows)
    targets -= targets.mean()
    goal = torch.linalg.lstsq(inputs, targets[:, None]).solution.flatten()
    validation = (torch.tensor([[1.0, 0.0, 0.0]]), 0.52 * goal[:1])

    model, method = Linear((3,), 1), EarlyStopping(3)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    fit = fit_of(model, task_of("regression"), [method])
    module = Module(fit, lambda parameters: torch.optim.SGD(parameters, lr=lr), monitored=["val/loss"])
    trainer = make_trainer({"accelerator": "cpu", "max_epochs": 100}, method.callbacks())
    train, val = (DataLoader([batch], batch_size=None) for batch in ((inputs, targets), validation))
    trainer.fit(module, train, [val, train])

    def filtered(steps: int) -> torch.Tensor:
        return (1 - (1 - lr * slopes) ** steps) * goal

    assert trainer.global_step == 10
    (weight,) = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    torch.testing.assert_close(weight.detach().flatten(), filtered(10), rtol=1e-11, atol=1e-13)
    module.restore_best()
    torch.testing.assert_close(weight.detach().flatten(), filtered(7), rtol=1e-11, atol=1e-13)


def test_off_trains_to_the_end_bit_for_bit() -> None:
    losses = [1.0, 2.0, 3.0, 4.0]
    on, trainer = fitted(EarlyStopping(math.inf), epochs=4, module_class=module_with(losses))
    plain, _ = fitted(epochs=4)
    assert trainer.global_step == 16
    assert same_state(on.fit.model, plain.fit.model)


LOSSES = [4.0, 3.0, 5.0, 5.0, 5.0, 2.0, 1.0]


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_a_resumed_run_ends_where_it_would_have_ended(tmp_path: Path, epochs: int) -> None:
    module_class = module_with(LOSSES)
    _, first = fitted(EarlyStopping(3), epochs=epochs, module_class=module_class)
    first.save_checkpoint(tmp_path / "first.ckpt")
    resumed, trainer = fitted(
        EarlyStopping(3), epochs=7, module_class=module_class, checkpoint=str(tmp_path / "first.ckpt")
    )
    uninterrupted, other = fitted(EarlyStopping(3), epochs=7, module_class=module_class)
    assert trainer.global_step == other.global_step == 20
    assert same_state(resumed.fit.model, uninterrupted.fit.model)
    assert resumed.best_metrics["val/loss"] == uninterrupted.best_metrics["val/loss"] == 3.0


def test_an_ended_run_takes_more_steps_only_with_a_longer_patience(tmp_path: Path) -> None:
    module_class, file = module_with([4.0, 3.0, 5.0, 5.0, 5.0, 5.0, 1.0]), str(tmp_path / "end.ckpt")
    ended, first = fitted(EarlyStopping(3), epochs=7, module_class=module_class)
    first.save_checkpoint(file)
    resumed, trainer = fitted(EarlyStopping(3), epochs=7, module_class=module_class, checkpoint=file)
    assert trainer.global_step == 20
    assert same_state(resumed.fit.model, ended.fit.model)
    _, trainer = fitted(EarlyStopping(5), epochs=7, module_class=module_class, checkpoint=file)
    assert trainer.global_step == 28, "the loss after the next was the lowest"


@pytest.mark.filterwarnings("ignore:.*overflow")
def test_divergence_is_reported_with_early_stopping_too() -> None:
    make = lambda parameters: torch.optim.SGD(parameters, lr=1e30)  # noqa: E731
    messages = []
    for methods in ([EarlyStopping(1)], []):
        with pytest.raises(Diverged) as caught:
            fitted(*methods, make=make, epochs=5)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_schedule_keeps_the_length_that_was_planned() -> None:
    cosine = lambda optimizer, steps: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)  # noqa: E731
    losses = [1.0, *[2.0] * 9]
    _, trainer = fitted(EarlyStopping(4), epochs=10, module_class=module_with(losses), scheduler=cosine)
    assert trainer.global_step == 20
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.05 * (1 + math.cos(math.pi / 2)) / 2)


def test_it_monitors_the_loss_of_averaged_weights() -> None:
    """With EMA, early stopping monitors the loss of the averaged weights."""

    class AssertMetrics(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
            assert float(trainer.callback_metrics["val/loss"]) == pytest.approx(pl_module.metrics["val/loss"])

    on, _ = fitted(EMA(0.9), EarlyStopping(2), extra=[AssertMetrics()])
    plain, _ = fitted(EMA(0.9))
    assert on.metrics == plain.metrics


def test_progress_and_times_of_a_training_that_ends_early() -> None:
    bars: list[Progress] = []

    class RecordBar(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            bars.append(bar._bar)  # type: ignore[arg-type]

    bar, watch = EpochBar("run"), EvaluationReporter(lambda figures, epoch: None)
    module_class = module_with([1.0, 2.0, 2.0, 2.0])
    fitted(EarlyStopping(1), epochs=4, module_class=module_class, extra=[watch, RecordBar(), bar])
    (task,) = bars[0].tasks
    assert (task.completed, task.total) == (8, 8)
    assert (watch.steps, watch.epochs) == (8, 2.0)
    assert watch.train_s > 0


@pytest.mark.slow
def test_the_trained_epochs_are_tracked(compose_cfg: Compose, store_uri: str) -> None:
    client = MlflowClient(store_uri)
    keys = ("data=diabetes", "optimizer.lr=0.05", "data.train_size=40", "data.batch_size=16")
    stop = ("regularizer=early_stopping", "regularizer.early_stopping.patience=2", "trainer.max_epochs=60")
    result = run(compose_cfg(*keys, *stop))
    history = [m.value for m in client.get_metric_history(result.run_id, "val/loss")]
    assert 2 < len(history) < 60
    assert len(history) == last_evaluation([*history, *[INF] * 9], 2)
    assert client.get_run(result.run_id).data.metrics["time/epochs"] == len(history)
    part = run(compose_cfg(*keys, "trainer.max_steps=4"))
    assert client.get_run(part.run_id).data.metrics["time/epochs"] == pytest.approx(4 / 3)


def test_without_validation_it_is_refused() -> None:
    class WithoutValidation(Module):
        def __init__(self, *args: Any, **keys: Any) -> None:
            super().__init__(*args, **keys, parts=("train",))

    with config_error("regularizer=early_stopping: val/loss ... data.val_fraction"):
        fitted(EarlyStopping(2), module_class=WithoutValidation)


def test_it_can_monitor_another_metric(tmp_path) -> None:
    """The callback has the direction of the metric, which is "max" for accuracy."""
    method = EarlyStopping(2, monitor="val/accuracy")
    (callback,) = method.callbacks()
    assert (callback.monitor, callback.mode) == ("val/accuracy", "max")
    assert EarlyStopping().callbacks()[0].mode == "min"
