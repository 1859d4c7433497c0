from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import Tensor

from reglab.regularizers import EMA, MaxNorm, penalized
from reglab.regularizers._schedules import late
from reglab.regularizers.ema import ExponentialAverage, newest_share
from reglab.training.callbacks import ScheduledStrengths
from tests.regularizers.lightning_runs import fitted
from tests.regularizers.steps import network, same_state


def mean_of(weights: list[Tensor], decay: float) -> Tensor:
    """Return Σ decay^(t - i) wᵢ / Σ decay^(t - i), computed as written."""
    shares = torch.tensor([decay ** (len(weights) - 1 - i) for i in range(len(weights))], dtype=weights[0].dtype)
    return sum(share * weight for share, weight in zip(shares, weights, strict=True)) / shares.sum()


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99, 0.9999])
def test_it_is_the_weighted_mean_and_the_recursion(double: None, decay: float) -> None:
    torch.manual_seed(0)
    weights = [torch.randn(4) for _ in range(30)]
    mean, plain = torch.full((4,), 1e9), torch.zeros(4)
    for step, weight in enumerate(weights, 1):
        mean = torch.lerp(mean, weight, newest_share(decay, step))
        plain = decay * plain + (1 - decay) * weight
        torch.testing.assert_close(mean, plain / (1 - decay**step), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(mean, mean_of(weights[:step], decay), rtol=1e-9, atol=1e-9)


def average_of(trainer: object) -> ExponentialAverage:
    return next(callback for callback in trainer.callbacks if isinstance(callback, ExponentialAverage))


def test_averaging_does_not_change_training_and_ends_on_the_mean(tmp_path: Path) -> None:
    """The checkpoint contains the trained weights, the model after training their mean."""
    on, trainer = fitted(EMA(decay=0.8), net={"norm": "batch"})
    plain, _ = fitted(net={"norm": "batch"})
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    saved = torch.load(tmp_path / "end.ckpt", weights_only=True)["state_dict"]
    for name, tensor in plain.state_dict().items():
        assert torch.equal(saved[name], tensor), name
    for mean, parameter in zip(average_of(trainer).average, on.parameters(), strict=True):
        assert torch.equal(mean, parameter)
    collected = plain.fit.model.state_dict()
    for name, tensor in on.fit.model.state_dict().items():
        assert torch.equal(tensor, collected[name]) == name.endswith("num_batches_tracked"), name


def test_the_mean_is_that_of_the_weights_after_each_step() -> None:
    decay, steps = 0.8, []
    for count in range(1, 8):
        plain, _ = fitted(max_steps=count)
        steps.append(plain.fit.model.output.weight.detach())
    on, _ = fitted(EMA(decay), max_steps=7)
    torch.testing.assert_close(on.fit.model.output.weight.detach(), mean_of(steps, decay), rtol=1e-5, atol=1e-6)


def test_a_slow_mean_has_nothing_of_the_initial_weights() -> None:
    on, trainer = fitted(EMA(decay=0.9999), max_steps=1)
    plain, _ = fitted(max_steps=1)
    assert average_of(trainer).steps == 1
    assert same_state(on.fit.model, plain.fit.model)


def test_validation_and_the_best_weights_use_the_mean() -> None:
    """An evaluation during training gives the metrics of the finished model."""
    on, trainer = fitted(EMA(decay=0.9), epochs=1)
    assert on.best is not None
    for name, tensor in on.fit.model.state_dict().items():
        assert torch.equal(on.best[name], tensor), name
    metrics, state = dict(on.metrics), {n: t.clone() for n, t in on.fit.model.state_dict().items()}
    trainer.validate(on, trainer.val_dataloaders, verbose=False)
    assert {n: on.metrics[n] for n in metrics} == metrics
    for name, tensor in on.fit.model.state_dict().items():
        assert torch.equal(state[name], tensor), name
    plain, _ = fitted(epochs=1)
    assert plain.metrics["val/loss"] != metrics["val/loss"]


def test_gradients_of_several_batches_are_one_step() -> None:
    _, trainer = fitted(EMA(decay=0.9), epochs=3, accumulate_grad_batches=2)
    assert average_of(trainer).steps == trainer.global_step == 6


def test_it_averages_constrained_weights() -> None:
    on, _ = fitted(EMA(decay=0.9), MaxNorm(max_norm=0.3))
    for weight in penalized(on.fit.model).values():
        assert (weight.norm(dim=1) <= 0.3 + 1e-6).all()


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_resumed_run_ends_on_the_same_mean(tmp_path: Path, epochs: int) -> None:
    _, first = fitted(EMA(decay=0.9), epochs=epochs)
    first.save_checkpoint(tmp_path / "first.ckpt")
    resumed, _ = fitted(EMA(decay=0.9), checkpoint=str(tmp_path / "first.ckpt"))
    uninterrupted, _ = fitted(EMA(decay=0.9))
    assert same_state(resumed.fit.model, uninterrupted.fit.model)
    assert resumed.best is not None
    assert all(torch.equal(resumed.best[name], uninterrupted.best[name]) for name in uninterrupted.best)


class RecordLosses(pl.Callback):
    """Record the val/loss of each evaluation."""

    def __init__(self) -> None:
        self.all: list[float] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.all.append(pl_module.metrics["val/loss"])


def late_ema(since: int, **settings: Any) -> tuple[Any, pl.Trainer]:
    """Train for three epochs of four steps, with averaging from epoch `since` on."""
    method = EMA(decay=0.9)
    strengths = ScheduledStrengths({(method, "decay"): late(0.9, 0.0, since)})
    return fitted(method, extra=[strengths, *settings.pop("extra", ())], **settings)


def test_a_start_after_the_end_of_training_leaves_the_trained_weights() -> None:
    """With a start after the end of training, EMA leaves the trained weights, and Lightning the initial ones."""
    losses, plain_losses, lightning_losses = RecordLosses(), RecordLosses(), RecordLosses()
    on, _ = late_ema(since=101, extra=[losses])
    plain, _ = fitted(extra=[plain_losses])
    assert same_state(on.fit.model, plain.fit.model)
    assert losses.all == plain_losses.all
    assert len(set(losses.all)) == 3

    lightning_ema = EMAWeightAveraging(decay=0.9, update_starting_at_step=400)
    lightning, _ = fitted(extra=[lightning_ema, lightning_losses])
    assert same_state(lightning.fit.model, network())
    assert len(set(lightning_losses.all)) == 1, "it validates the initial weights, too"


def test_a_late_start_averages_the_late_steps() -> None:
    """From step 9 of 12 on. The average of Lightning gives step 9 the weight 0.9^3 instead of the smallest one."""
    steps = [fitted(max_steps=count)[0].fit.model.output.weight.detach() for count in range(9, 13)]
    on, trainer = late_ema(since=3)
    assert average_of(trainer).steps == 4
    torch.testing.assert_close(on.fit.model.output.weight.detach(), mean_of(steps, 0.9), rtol=1e-5, atol=1e-6)

    lightning, _ = fitted(extra=[EMAWeightAveraging(decay=0.9, update_starting_at_step=8)])
    expected = 0.729 * steps[0] + 0.081 * steps[1] + 0.09 * steps[2] + 0.1 * steps[3]
    torch.testing.assert_close(lightning.fit.model.output.weight.detach(), expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(expected, mean_of(steps, 0.9), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_late_start_is_resumed(tmp_path: Path, epochs: int) -> None:
    """Resume from a checkpoint before and during the averaging."""
    _, first = late_ema(since=2, epochs=epochs)
    first.save_checkpoint(tmp_path / "first.ckpt")
    resumed, trainer = late_ema(since=2, checkpoint=str(tmp_path / "first.ckpt"))
    uninterrupted, _ = late_ema(since=2)
    assert average_of(trainer).steps == 8
    assert same_state(resumed.fit.model, uninterrupted.fit.model)


def test_an_early_end_of_averaging_restores_the_weights() -> None:
    method = EMA(decay=0.9)
    schedule = {(method, "decay"): lambda epoch: 0.9 if epoch < 3 else 0.0}
    on, trainer = fitted(method, extra=[ScheduledStrengths(schedule)])
    plain, _ = fitted()
    assert average_of(trainer).steps == 0
    assert same_state(on.fit.model, plain.fit.model)
