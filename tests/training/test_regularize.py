"""Regularizers on a LightningModule that knows nothing of them, against the same by hand and in reglab's own module."""

from collections.abc import Iterable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import reglab
from reglab import L1, L2, SAM, Dropout, Flooding, LabelSmoothing, MaxNorm, Mixup, Regularize, WeightDecay
from reglab.regularizers import DropConnect, Regularizer
from reglab.regularizers.activity_l1 import ActivityL1
from reglab.regularizers.ema import EMA
from reglab.schema.errors import ConfigError


class Foreign(pl.LightningModule):
    """Somebody's module; `strength` is an L2 penalty that they wrote into their own loss."""

    def __init__(self, strength: float = 0.0, optimizer: str = "SGD", through: str = "net", **keys: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
        self.strength, self.through = strength, through
        self.make = lambda: getattr(torch.optim, optimizer)(self.parameters(), **{"lr": 0.1, **keys})

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        outputs = self(batch[0]) if self.through == "self" else self.net(batch[0])
        squares = sum(p.square().sum() for p in self.parameters() if p.ndim > 1)
        return F.cross_entropy(outputs, batch[1]) + self.strength / 2 * squares

    def configure_optimizers(self) -> Any:
        optimizer = self.make()
        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9), "interval": "step"}]


def trained(module: Foreign, regularizers: Iterable[Regularizer] = (), name: str = "", **settings: Any) -> Foreign:
    generator = torch.Generator().manual_seed(1)
    data = TensorDataset(torch.randn(40, 6, generator=generator), torch.randint(3, (40,), generator=generator))
    others = settings.pop("callbacks", [])
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Regularize(regularizers, name), *others],
        **settings,
    )
    trainer.fit(module, DataLoader(data, batch_size=10))
    return module


def weights(module: Foreign) -> list[Tensor]:
    return [p.detach() for p in module.parameters()]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"accumulate_grad_batches": 2},
        {"gradient_clip_val": 0.1},
        {"accumulate_grad_batches": 2, "gradient_clip_val": 0.1},
    ],
    ids=["plain", "accumulated", "clipped", "both"],
)
def test_a_penalty_is_that_of_a_loss_that_holds_it(settings: dict[str, Any]) -> None:
    ours = trained(Foreign(), [L2(strength=0.5)], **settings)
    theirs = trained(Foreign(strength=0.5), **settings)
    for a, b in zip(weights(ours), weights(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert not torch.equal(weights(ours)[0], weights(trained(Foreign(), **settings))[0])


@pytest.mark.parametrize("accumulated", [1, 2])
def test_decay_acts_once_a_step_at_the_rate_of_that_step(accumulated: int) -> None:
    class Flat(Foreign):
        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            return (self.net(batch[0]) * 0).sum()

    start = weights(Foreign())
    for a, b in zip(
        weights(trained(Flat(), [WeightDecay(strength=0.5)], accumulate_grad_batches=accumulated)), start, strict=True
    ):
        factor = 1.0
        steps = 2 * 4 // accumulated
        for step in range(steps if a.ndim > 1 else 0):
            factor *= 1 - 0.1 * 0.9**step * 0.5
        torch.testing.assert_close(a, b * factor, rtol=1e-5, atol=0)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_proximal_steps_and_projections_come_after_the_optimizer(accumulated: int) -> None:
    module = trained(Foreign(), [MaxNorm(max_norm=0.3), L1(strength=0.3)], accumulate_grad_batches=accumulated)
    for weight in weights(module)[::2]:
        assert (weight == 0).any()
        assert weight.norm(dim=1).max() <= 0.3 + 1e-6


def test_dropout_acts_in_training_alone() -> None:
    module = trained(Foreign(), [Dropout(p=0.5)])
    assert not torch.equal(weights(module)[0], weights(trained(Foreign()))[0])
    inputs = torch.randn(5, 6)
    plain = Foreign()
    plain.load_state_dict(module.state_dict())  # the keys are the module's own
    assert torch.equal(module.eval()(inputs), plain.eval()(inputs))


def test_sam_takes_two_passes() -> None:
    calls = 0

    class Counted(Foreign):
        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            nonlocal calls
            calls += 1
            return super().training_step(batch, index)

        def on_train_batch_start(self, batch: Any, index: int) -> None:
            nonlocal calls
            calls *= self.global_step > 0  # those before measured its effect

    trained(Counted(), [SAM(rho=0.05)])
    assert calls == 2 * 4 * 2


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (Mixup(alpha=0.2), "it has to change the batch"),
        (EMA(decay=0.9), "it is a callback itself"),
        (LabelSmoothing(epsilon=0.1), "it needs the model's outputs"),
        (ActivityL1(strength=0.1), "it needs the inputs"),
        (Flooding(level=0.5), "it has to change the loss itself"),
        (DropConnect(p=0.5), "it acts on calls of the module, .* submodules"),
        (Dropout(p=0.0, input_p=0.5), "it acts on calls of the module"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_needs_more_than_a_callback_has_is_refused(method: Regularizer, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"^regularizer={method.name}: cannot work as a callback, because {reason}"):
        trained(Foreign(), [method])


def test_calls_of_the_module_or_of_a_part_that_is_named_are_enough() -> None:
    plain = weights(trained(Foreign()))[0]
    assert not torch.equal(weights(trained(Foreign(), [DropConnect(p=0.5)], "net"))[0], plain)
    assert not torch.equal(weights(trained(Foreign(through="self"), [DropConnect(p=0.5)]))[0], plain)


def test_names_of_the_package() -> None:
    assert reglab.Dropout is Dropout
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        reglab.Nothing  # noqa: B018
