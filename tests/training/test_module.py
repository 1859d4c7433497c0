"""`Module` without a tracked run: effects of a step on weights, and resuming from a checkpoint."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from reglab.data import Digits
from reglab.models import MLP
from reglab.regularizers import L1, Dropout, MaxNorm, WeightDecay
from reglab.regularizers._dispatch import effective_rates
from reglab.regularizers.base import Regularizer
from reglab.tasks import Classification
from reglab.training.fit import Fit
from reglab.training.module import Module
from reglab.training.trainer import make_trainer

CPU: dict[str, Any] = {"accelerator": "cpu", "max_epochs": 2, "precision": "32-true"}


@pytest.fixture(scope="module")
def data() -> Digits:
    digits = Digits(name="digits", seed=0, split_seed=0, train_size=300)
    digits.setup()
    return digits


def cosine(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


def new_module(*regularizers: Regularizer, optimizer: str = "AdamW", scheduler: Any = None, **keys: Any) -> Module:
    torch.manual_seed(0)
    model = MLP((1, 8, 8), 10, [12])
    for regularizer in regularizers:
        regularizer.attach(model)
    keys = {"lr": 0.05} | keys
    fit = Fit(model, Classification(10), regularizers)
    return Module(fit, lambda parameters: getattr(torch.optim, optimizer)(parameters, **keys), scheduler)


def train(module: Module, data: Digits, **settings: Any) -> pl.Trainer:
    trainer = make_trainer(CPU | settings, [])
    trainer.fit(module, data.train_dataloader(), data.val_dataloader())
    return trainer


def test_decay_of_the_regularizer_equals_that_of_adamw(data: Digits) -> None:
    decayed = new_module(WeightDecay(strength=0.3), weight_decay=0.0)
    train(decayed, data)
    adamw_decayed = new_module()
    weights = [p for name, p in adamw_decayed.fit.model.named_parameters() if name.endswith("weight")]
    biases = [p for name, p in adamw_decayed.fit.model.named_parameters() if name.endswith("bias")]
    groups = [{"params": weights, "weight_decay": 0.3}, {"params": biases, "weight_decay": 0.0}]
    adamw_decayed._make_optimizer = lambda _: torch.optim.AdamW(groups, lr=0.05)
    train(adamw_decayed, data)
    for (name, a), b in zip(decayed.fit.model.named_parameters(), adamw_decayed.fit.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5, msg=name)


class _ConstantLoss(Classification):
    """Classification with a constant loss."""

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs * 0).sum()


@pytest.mark.parametrize(("optimizer", "keys"), [("SGD", {"momentum": 0.9}), ("AdamW", {"weight_decay": 0.0})])
def test_without_gradients_only_decay_changes_weights(data: Digits, optimizer: str, keys: dict[str, float]) -> None:
    module = new_module(WeightDecay(strength=0.3), optimizer=optimizer, lr=0.05, **keys)
    module.fit.task = _ConstantLoss(10)
    before = {name: weight.detach().clone() for name, weight in module.fit.model.named_parameters()}
    steps = train(module, data).global_step
    for name, weight in module.fit.model.named_parameters():
        factor = (1 - 0.05 * 0.3) ** steps if name.endswith("weight") else 1.0  # the plain rate, with momentum too
        torch.testing.assert_close(weight.detach(), before[name] * factor, rtol=1e-5, atol=0)


def test_projections_hold_after_every_step(data: Digits) -> None:
    module = new_module(L1(strength=0.01), MaxNorm(max_norm=0.5))
    train(module, data, max_epochs=1)
    for name, weight in module.fit.model.named_parameters():
        if name.endswith("weight"):
            assert weight.norm(dim=1).max() <= 0.5 + 1e-6
            assert (weight == 0).any()


def test_the_effective_step_of_sgd_with_momentum() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    for momentum, dampening in [(0.0, 0.0), (0.9, 0.0), (0.5, 0.5)]:
        optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=momentum, dampening=dampening)
        with torch.no_grad():
            parameter.zero_()
        before = 0.0
        for _ in range(200):
            before = parameter.item()
            parameter.grad = torch.ones(1)
            optimizer.step()
        assert before - parameter.item() == pytest.approx(effective_rates(optimizer)[0][1], rel=1e-5)
    assert effective_rates(torch.optim.Adam([parameter], lr=0.1))[0][1] == 0.1


def test_masks_of_a_step_do_not_depend_on_earlier_draws(data: Digits) -> None:
    class Drawing(Regularizer):
        order = 0

        def transform_batch(self, batch: tuple[Tensor, Tensor], step: Any) -> tuple[Tensor, Tensor]:
            torch.rand(len(batch[0]))
            return batch

    plain, drawing = new_module(), new_module(Drawing())
    for module in (plain, drawing):
        train(module, data)
    for a, b in zip(plain.fit.model.parameters(), drawing.fit.model.parameters(), strict=True):
        assert torch.equal(a, b)

    def trained_from(state: int) -> Tensor:
        module = new_module(Dropout(p=0.5))
        torch.manual_seed(state)  # the state of the global generator before training
        train(module, data)
        return next(module.fit.model.parameters()).detach()

    assert torch.equal(trained_from(1), trained_from(2))


def test_batches_of_one_step_have_different_masks(data: Digits) -> None:
    draws: list[Tensor] = []

    class Drawing(Regularizer):
        order = 0

        def transform_batch(self, batch: tuple[Tensor, Tensor], step: Any) -> tuple[Tensor, Tensor]:
            draws.append(torch.rand(1))
            return batch

    train(new_module(Drawing()), data, max_epochs=1)  # 5 batches an epoch
    plain = draws.copy()
    draws.clear()
    train(new_module(Drawing()), data, max_epochs=1, accumulate_grad_batches=2)
    assert [plain[0], plain[1], plain[2]] == [draws[0], draws[2], draws[4]]  # the first batches of steps
    assert len({draw.item() for draw in draws}) == 5


class _Interrupted(Exception):
    """Simulated power cut."""


@pytest.mark.parametrize("scheduler", [None, cosine])
def test_a_run_interrupted_inside_an_epoch_resumes_exactly(data: Digits, tmp_path: Path, scheduler: Any) -> None:
    """With a scheduler, Lightning sets the loader up to count steps before it loads the checkpoint."""

    def module() -> Module:
        methods = [Dropout(p=0.3, input_p=0.1), L1(strength=1e-3), MaxNorm(max_norm=1.0)]
        return new_module(*methods, lr=0.02, scheduler=scheduler)

    uninterrupted = module()
    train(uninterrupted, data, max_epochs=3)

    class Interrupt(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == 8:  # 5 batches an epoch
                trainer.save_checkpoint(tmp_path / "inside.ckpt")
                raise _Interrupted

    with pytest.raises(_Interrupted):
        make_trainer(CPU | {"max_epochs": 3}, [Interrupt()]).fit(
            module(), data.train_dataloader(), data.val_dataloader()
        )
    torch.manual_seed(99)
    resumed = module()
    trainer = make_trainer(CPU | {"max_epochs": 3}, [])
    path = str(tmp_path / "inside.ckpt")
    trainer.fit(resumed, data.train_dataloader(), data.val_dataloader(), ckpt_path=path)
    assert trainer.global_step == 15
    for (name, a), b in zip(uninterrupted.fit.state_dict().items(), resumed.fit.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert uninterrupted.best_metrics == resumed.best_metrics
    assert uninterrupted.metrics == resumed.metrics


def test_best_weights_are_restored(data: Digits) -> None:
    module = new_module(lr=0.3)
    losses: list[float] = []
    states: list[dict[str, Tensor]] = []

    class KeepStates(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            losses.append(module.metrics["val/loss"])
            states.append({name: tensor.clone() for name, tensor in module.fit.model.state_dict().items()})

    trainer = make_trainer(CPU | {"max_epochs": 25}, [KeepStates()])
    trainer.fit(module, data.train_dataloader(), data.val_dataloader())
    best = losses.index(min(losses))
    assert best < 24, "the last epoch should not be the best one here"
    module.restore_best()
    for name, tensor in module.fit.model.state_dict().items():
        assert torch.equal(tensor, states[best][name])
    assert module.best_metrics["val/loss"] == losses[best]


def test_evaluation_is_in_eval_mode_and_training_is_not(data: Digits) -> None:
    modes: dict[str, set[bool]] = {"train": set(), "eval": set()}

    class RecordMode(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            modes["train" if torch.is_grad_enabled() else "eval"].add(self.training)
            return inputs

    module = new_module()
    module.fit.model.append(RecordMode())  # type: ignore[operator]
    train(module, data)
    assert modes == {"train": {True}, "eval": {False}}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
