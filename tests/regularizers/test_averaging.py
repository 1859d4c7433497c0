"""Behaviour shared by `EMA` and `SWA`: averaged weights and recomputed running statistics."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader

from reglab.regularizers import EMA, SWA, Dropout, Regularizer
from reglab.regularizers._averaging import Averaging
from reglab.regularizers._norms import recompute_statistics, running_statistics
from reglab.training.trainer import make_trainer
from tests.errors import config_error
from tests.regularizers.lightning_runs import Shuffled, fitted
from tests.regularizers.steps import batch_of, network, same_state

NORM = {"norm": "batch"}
TRAINING = [batch_of("classification", seed=i)[0] for i in range(4)]  # the training inputs of `fitted`


@pytest.fixture(params=[EMA(0.9), SWA(0.5)], ids=["ema", "swa"])
def method(request: pytest.FixtureRequest) -> Regularizer:
    return copy.deepcopy(request.param)


def callback_of(trainer: pl.Trainer) -> Averaging:
    return next(callback for callback in trainer.callbacks if isinstance(callback, Averaging))


def test_statistics_by_hand(double: None) -> None:
    """Statistics weight batches by their rows, so that a last batch of two rows counts less than one of ten."""
    model, batches = network(norm="batch"), [batch.double() for batch in TRAINING[0].split([10, 10, 2, 2])]
    recompute_statistics(model, batches)
    first, mean, variance = model.hidden_0, *(statistic.clone() for statistic in running_statistics(model)[:2])
    outputs = [first(batch).detach() for batch in batches]
    torch.testing.assert_close(mean, torch.cat(outputs).mean(0), rtol=1e-12, atol=1e-14)
    expected = sum(len(values) * values.var(0) for values in outputs) / len(torch.cat(outputs))
    torch.testing.assert_close(variance, expected, rtol=1e-12, atol=1e-14)
    update_bn(batches, model)
    assert not torch.allclose(running_statistics(model)[0], mean)


def test_statistics_of_equal_batches_equal_torch(double: None) -> None:
    model, reference = network(norm="batch"), network(norm="batch")
    batches = [batch.double() for batch in TRAINING]
    recompute_statistics(model, batches)
    update_bn(batches, reference)
    for a, b in zip(running_statistics(model), running_statistics(reference), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_recomputing_changes_the_statistics_only(momentum: float | None) -> None:
    model = network(norm="batch", seed=1)
    Dropout(p=0.5).attach(model)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    for norm in norms:
        norm.momentum = momentum
    model.train()
    norms[0].eval()  # as if frozen
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    recompute_statistics(model, TRAINING)
    assert torch.equal(torch.rand(3), expected), "no mask is drawn"
    assert [module.training for module in model.modules()] == modes
    assert [norm.momentum for norm in norms] == [momentum, momentum]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) != ("running" in name), name
    statistics = [statistic.clone() for statistic in running_statistics(model)]
    recompute_statistics(model, TRAINING)
    for first, second in zip(statistics, running_statistics(model), strict=True):
        assert torch.equal(first, second), "earlier statistics do not matter"


def test_averaging_does_not_change_training(method: Regularizer) -> None:
    """Evaluating the mean does not change batch order, dropout masks, weights or statistics of training."""
    on, trainer = fitted(method, Dropout(p=0.3), net=NORM, loader=Shuffled())
    plain, _ = fitted(Dropout(p=0.3), net=NORM, loader=Shuffled())
    assert not same_state(on.fit.model, plain.fit.model)
    callback_of(trainer).on_train_start(trainer, on)  # a new training begins with the weights
    assert same_state(on.fit.model, plain.fit.model)


def test_tested_weights_have_the_statistics_of_the_training_rows(method: Regularizer) -> None:
    on, _ = fitted(method, Dropout(p=0.3), net=NORM, epochs=1)
    assert on.best is not None
    expected = network(norm="batch")
    expected.load_state_dict(on.best)
    update_bn(TRAINING, expected)  # without dropout, and with batches of equal size
    for state in (on.fit.model.state_dict(), on.best):
        for name, tensor in expected.state_dict().items():
            if "running" in name:
                torch.testing.assert_close(state[name], tensor, rtol=1e-5, atol=1e-6)
            if "tracked" in name:
                assert state[name] == 4, "the steps of training"


def distance(statistics: list[Tensor], expected: list[Tensor]) -> float:
    """Return the root mean square distance of means, in standard deviations, and of log variances."""
    means = [
        (mean - target) / v.sqrt()
        for mean, target, v in zip(statistics[::2], expected[::2], expected[1::2], strict=True)
    ]
    spreads = [(variance / target).log() for variance, target in zip(statistics[1::2], expected[1::2], strict=True)]
    return float(torch.cat(means + spreads).square().mean().sqrt())


def test_statistics_from_training_and_averaged_statistics_do_not_fit_the_mean() -> None:
    """A decay of 0.98 over 40 steps shows the need to recompute them."""
    decay, steps = 0.98, 40
    after = []

    class RecordCalls(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            after.append([statistic.clone() for statistic in running_statistics(pl_module)])

    on, _ = fitted(EMA(decay), net=NORM, epochs=10, extra=[RecordCalls()])
    assert len(after) == steps
    shares = torch.tensor([decay ** (steps - 1 - i) for i in range(steps)])
    averaged = [sum(s * step[i] for s, step in zip(shares, after, strict=True)) / shares.sum() for i in range(4)]
    statistics = [statistic.clone() for statistic in running_statistics(on)]
    recompute_statistics(on.fit.model, TRAINING)
    expected = running_statistics(on)
    assert distance(statistics, expected) == 0
    assert distance(after[-1], expected) > 0.1
    assert distance(averaged, expected) > 0.1


def test_a_loader_that_uses_the_global_generator_gets_the_same_draws(method: Regularizer) -> None:
    """`Module` reseeds before each step, so that draws of a loader between steps do not matter."""

    def loader() -> Any:
        inputs, targets = Shuffled().inputs, Shuffled().targets
        rows = torch.utils.data.TensorDataset(inputs, targets)
        return torch.utils.data.DataLoader(rows, batch_size=24, shuffle=True)

    torch.manual_seed(4)
    on, trainer = fitted(method, net=NORM, loader=loader())
    torch.manual_seed(4)
    plain, _ = fitted(net=NORM, loader=loader())
    callback_of(trainer).on_train_start(trainer, on)
    assert same_state(on.fit.model, plain.fit.model)


@pytest.mark.parametrize(
    ("precision", "dtype", "close"), [("bf16-mixed", torch.bfloat16, 0.03), ("64-true", torch.float64, 1e-6)]
)
def test_other_precisions(method: Regularizer, precision: str, dtype: torch.dtype, close: float) -> None:
    """Passes for the statistics run in the precision of training; the statistics keep their dtype."""
    dtypes: list[torch.dtype] = []

    class RecordCalls(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            pl_module.fit.model.hidden_0.register_forward_hook(lambda layer, inputs, out: dtypes.append(out.dtype))

    loader = Shuffled()
    if precision == "64-true":
        loader.inputs = loader.inputs.double()
    # No evaluations: three epochs of training and one pass for the statistics at the end.
    on, _ = fitted(method, net=NORM, precision=precision, loader=loader, limit_val_batches=0, extra=[RecordCalls()])
    assert dtypes == [dtype] * 4 * len(loader)
    assert all(statistic.dtype != torch.bfloat16 for statistic in running_statistics(on))
    statistics = [statistic.clone() for statistic in running_statistics(on)]
    full = Shuffled()
    full.epoch = 3
    recompute_statistics(on.fit.model.double(), [inputs.double() for inputs, _ in full])
    for a, b in zip(statistics, running_statistics(on), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=close, atol=close)


@pytest.mark.parametrize("batches", [2, 0.5])
def test_batches_that_training_leaves_out_are_left_out(method: Regularizer, batches: float) -> None:
    on, _ = fitted(method, net=NORM, epochs=2, limit_train_batches=batches)
    expected = copy.deepcopy(on.fit.model)
    update_bn(TRAINING[:2], expected)
    for a, b in zip(running_statistics(on), running_statistics(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_finished_training_that_is_resumed_ends_on_the_mean(method: Regularizer, tmp_path: Path) -> None:
    """Lightning skips the finished training, so that the statistics come from the checkpoint."""
    finished, first = fitted(method, net=NORM, loader=Shuffled())
    first.save_checkpoint(tmp_path / "end.ckpt")
    resumed, _ = fitted(copy.deepcopy(method), net=NORM, loader=Shuffled(), checkpoint=str(tmp_path / "end.ckpt"))
    assert same_state(resumed.fit.model, finished.fit.model)


class UserModule(pl.LightningModule):
    """User-written module with batch normalization."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 3))
        self.after: list[list[Tensor]] = []

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs)

    def training_step(self, batch: Any, index: int) -> Tensor:
        inputs, targets = batch.values() if isinstance(batch, dict) else batch
        return nn.functional.cross_entropy(self.net(inputs), targets)

    def on_train_batch_end(self, *_: Any) -> None:
        self.after.append([parameter.detach().clone() for parameter in self.parameters()])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.05)


def train_user_module(
    module: UserModule, method: Regularizer, shape: Callable[[Any], Any] = lambda batch: batch
) -> None:
    trainer = make_trainer({"accelerator": "cpu", "max_epochs": 2, "precision": "64-true"}, method.callbacks())
    trainer.fit(module, DataLoader([shape(batch_of("classification", seed=i)) for i in range(4)], batch_size=None))


def test_the_callbacks_work_on_user_modules(method: Regularizer) -> None:
    """Compare the mean of eight steps and its statistics with values computed by hand."""
    module = UserModule()
    train_user_module(module, method)
    shares = torch.tensor([0.9 ** (7 - i) for i in range(8)] if method.name == "ema" else [0.0] * 4 + [1.0] * 4)
    for place, weight in enumerate(module.parameters()):
        expected = sum(s.double() * w[place] for s, w in zip(shares / shares.sum(), module.after, strict=True))
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-6, atol=1e-7)
    outputs = torch.cat([module.net[0](batch.double()) for batch in TRAINING]).view(4, -1, 8).detach()
    torch.testing.assert_close(module.net[1].running_mean, outputs.mean((0, 1)), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(module.net[1].running_var, outputs.var(1).mean(0), rtol=1e-12, atol=1e-14)


def test_a_module_whose_statistics_cannot_be_recomputed_is_refused(method: Regularizer) -> None:
    class WithoutForward(UserModule):
        forward = pl.LightningModule.forward

    with config_error(f"regularizer={method.name}: no forward ... forward(inputs)"):
        train_user_module(WithoutForward(), method)
    module = UserModule()
    with config_error(f"regularizer={method.name}: batch is a dict ... (inputs, "):
        train_user_module(module, method, lambda batch: {"inputs": batch[0], "targets": batch[1]})
    assert not module.after
    module.net[1] = nn.Identity()  # no statistics to recompute
    train_user_module(module, method, lambda batch: {"inputs": batch[0], "targets": batch[1]})
    assert len(module.after) == 8
