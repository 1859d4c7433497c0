"""What `EMA` and `SWA` share: the mean in the place of the weights, and the running statistics that belong to it."""

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
TRAINING = [batch_of("classification", seed=i)[0] for i in range(4)]  # what `fitted` trains on


@pytest.fixture(params=[EMA(0.9), SWA(0.5)], ids=["ema", "swa"])
def method(request: pytest.FixtureRequest) -> Regularizer:
    return copy.deepcopy(request.param)


def callback_of(trainer: pl.Trainer) -> Averaging:
    return next(callback for callback in trainer.callbacks if isinstance(callback, Averaging))


def test_statistics_by_hand(double: None) -> None:
    """Of rows, not of batches: a last batch of two rows does not count like one of ten."""
    model, batches = network(norm="batch"), [batch.double() for batch in TRAINING[0].split([10, 10, 2, 2])]
    recompute_statistics(model, batches)
    first, mean, variance = model.hidden_0, *(found.clone() for found in running_statistics(model)[:2])
    outputs = [first(batch).detach() for batch in batches]
    torch.testing.assert_close(mean, torch.cat(outputs).mean(0), rtol=1e-12, atol=1e-14)
    expected = sum(len(values) * values.var(0) for values in outputs) / len(torch.cat(outputs))
    torch.testing.assert_close(variance, expected, rtol=1e-12, atol=1e-14)
    update_bn(batches, model)
    assert not torch.allclose(running_statistics(model)[0], mean)


def test_statistics_of_equal_batches_are_torchs(double: None) -> None:
    ours, theirs = network(norm="batch"), network(norm="batch")
    batches = [batch.double() for batch in TRAINING]
    recompute_statistics(ours, batches)
    update_bn(batches, theirs)
    for one, other in zip(running_statistics(ours), running_statistics(theirs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_all_but_the_statistics_stays(momentum: float | None) -> None:
    model = network(norm="batch", seed=1)
    Dropout(p=0.5).attach(model)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    for norm in norms:
        norm.momentum = momentum
    model.train()
    norms[0].eval()  # as a frozen one
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
    again = [statistic.clone() for statistic in running_statistics(model)]
    recompute_statistics(model, TRAINING)
    for one, other in zip(again, running_statistics(model), strict=True):
        assert torch.equal(one, other), "nothing of what was there is left"


def test_training_goes_on_as_without_it(method: Regularizer) -> None:
    """Batch order, dropout masks, weights and statistics in training: all as if nothing had been looked at."""
    on, trainer = fitted(method, Dropout(p=0.3), net=NORM, loader=Shuffled())
    plain, _ = fitted(Dropout(p=0.3), net=NORM, loader=Shuffled())
    assert not same_state(on.fit.model, plain.fit.model)
    callback_of(trainer).on_train_start(trainer, on)  # another training would begin with the weights
    assert same_state(on.fit.model, plain.fit.model)


def test_what_is_tested_has_the_statistics_of_the_training_rows(method: Regularizer) -> None:
    on, _ = fitted(method, Dropout(p=0.3), net=NORM, epochs=1)
    assert on.best is not None
    expected = network(norm="batch")
    expected.load_state_dict(on.best)
    update_bn(TRAINING, expected)  # it has no dropout, and the batches are of one size
    for found in (on.fit.model.state_dict(), on.best):
        for name, tensor in expected.state_dict().items():
            if "running" in name:
                torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-6)
            if "tracked" in name:
                assert found[name] == 4, "the steps of training"


def away(found: list[Tensor], wanted: list[Tensor]) -> float:
    """How far statistics are from others: of means in standard deviations, of variances in their logarithm."""
    means = [(f - w) / v.sqrt() for f, w, v in zip(found[::2], wanted[::2], wanted[1::2], strict=True)]
    spreads = [(f / w).log() for f, w in zip(found[1::2], wanted[1::2], strict=True)]
    return float(torch.cat(means + spreads).square().mean().sqrt())


def test_neither_statistics_in_training_nor_averaged_ones_fit_the_mean() -> None:
    """With a decay of .98 over 40 steps: why they are recomputed."""
    decay, steps = 0.98, 40
    after = []

    class Follow(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            after.append([statistic.clone() for statistic in running_statistics(pl_module)])

    on, _ = fitted(EMA(decay), net=NORM, epochs=10, extra=[Follow()])
    assert len(after) == steps
    shares = torch.tensor([decay ** (steps - 1 - i) for i in range(steps)])
    carried = [sum(s * one[i] for s, one in zip(shares, after, strict=True)) / shares.sum() for i in range(4)]
    found = [statistic.clone() for statistic in running_statistics(on)]
    recompute_statistics(on.fit.model, TRAINING)
    wanted = running_statistics(on)
    assert away(found, wanted) == 0
    assert away(after[-1], wanted) > 0.1
    assert away(carried, wanted) > 0.1


def test_a_loader_that_shuffles_by_the_global_generator_moves_nothing(method: Regularizer) -> None:
    """`Module` reseeds before each step; what a loader draws between steps is its own matter."""

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
    """The passes for the statistics run in the precision of training, the statistics keep their own."""
    seen: list[torch.dtype] = []

    class Follow(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            pl_module.fit.model.hidden_0.register_forward_hook(lambda layer, inputs, out: seen.append(out.dtype))

    loader = Shuffled()
    if precision == "64-true":
        loader.inputs = loader.inputs.double()
    # Without evaluations: three epochs of training, and one pass at the end.
    on, _ = fitted(method, net=NORM, precision=precision, loader=loader, limit_val_batches=0, extra=[Follow()])
    assert seen == [dtype] * 4 * len(loader)
    assert all(statistic.dtype != torch.bfloat16 for statistic in running_statistics(on))
    found = [statistic.clone() for statistic in running_statistics(on)]
    full = Shuffled()
    full.epoch = 3
    recompute_statistics(on.fit.model.double(), [inputs.double() for inputs, _ in full])
    for one, other in zip(found, running_statistics(on), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=close, atol=close)


@pytest.mark.parametrize("batches", [2, 0.5])
def test_batches_that_training_leaves_out_are_left_out(method: Regularizer, batches: float) -> None:
    on, _ = fitted(method, net=NORM, epochs=2, limit_train_batches=batches)
    expected = copy.deepcopy(on.fit.model)
    update_bn(TRAINING[:2], expected)
    for one, other in zip(running_statistics(on), running_statistics(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_finished_training_that_is_resumed_ends_on_the_mean(method: Regularizer, tmp_path: Path) -> None:
    """Lightning skips all of it, with its statistics: the rows' order that made them is not to be had any more."""
    whole, first = fitted(method, net=NORM, loader=Shuffled())
    first.save_checkpoint(tmp_path / "end.ckpt")
    resumed, _ = fitted(copy.deepcopy(method), net=NORM, loader=Shuffled(), checkpoint=str(tmp_path / "end.ckpt"))
    assert same_state(resumed.fit.model, whole.fit.model)


class Foreign(pl.LightningModule):
    """Somebody's module with batch normalization."""

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


def train_foreign(module: Foreign, method: Regularizer, shape: Callable[[Any], Any] = lambda batch: batch) -> None:
    trainer = make_trainer({"accelerator": "cpu", "max_epochs": 2, "precision": "64-true"}, method.callbacks())
    trainer.fit(module, DataLoader([shape(batch_of("classification", seed=i)) for i in range(4)], batch_size=None))


def test_its_callbacks_work_on_any_module(method: Regularizer) -> None:
    """Eight steps, by hand: the mean is exact, and so are its statistics; the inputs are converted as in training."""
    module = Foreign()
    train_foreign(module, method)
    shares = torch.tensor([0.9 ** (7 - i) for i in range(8)] if method.name == "ema" else [0.0] * 4 + [1.0] * 4)
    for place, weight in enumerate(module.parameters()):
        expected = sum(s.double() * w[place] for s, w in zip(shares / shares.sum(), module.after, strict=True))
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-6, atol=1e-7)
    outputs = torch.cat([module.net[0](batch.double()) for batch in TRAINING]).view(4, -1, 8).detach()
    torch.testing.assert_close(module.net[1].running_mean, outputs.mean((0, 1)), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(module.net[1].running_var, outputs.var(1).mean(0), rtol=1e-12, atol=1e-14)


def test_a_module_whose_statistics_could_not_be_made_is_refused(method: Regularizer) -> None:
    class Silent(Foreign):
        forward = pl.LightningModule.forward

    with config_error(f"regularizer={method.name}: no forward ... forward(inputs)"):
        train_foreign(Silent(), method)
    module = Foreign()
    with config_error(f"regularizer={method.name}: batch is a dict ... (inputs, "):
        train_foreign(module, method, lambda batch: {"inputs": batch[0], "targets": batch[1]})
    assert not module.after
    module.net[1] = nn.Identity()  # without statistics neither is needed
    train_foreign(module, method, lambda batch: {"inputs": batch[0], "targets": batch[1]})
    assert len(module.after) == 8
