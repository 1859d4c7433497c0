"""`Regularize` on a user-written LightningModule, compared with losses and updates written by hand."""

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


class UserModule(pl.LightningModule):
    """User-written module; `strength` is the factor of an L2 penalty in its training step."""

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


def trained(
    module: UserModule, regularizers: Iterable[Regularizer] = (), name: str = "", **settings: Any
) -> UserModule:
    generator = torch.Generator().manual_seed(1)
    data = TensorDataset(torch.randn(40, 6, generator=generator), torch.randint(3, (40,), generator=generator))
    more_callbacks = settings.pop("callbacks", [])
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Regularize(regularizers, name), *more_callbacks],
        **settings,
    )
    trainer.fit(module, DataLoader(data, batch_size=10))
    return module


def weights(module: UserModule) -> list[Tensor]:
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
def test_a_penalty_equals_one_written_into_the_loss(settings: dict[str, Any]) -> None:
    regularized = trained(UserModule(), [L2(strength=0.5)], **settings)
    penalized = trained(UserModule(strength=0.5), **settings)
    for a, b in zip(weights(regularized), weights(penalized), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert not torch.equal(weights(regularized)[0], weights(trained(UserModule(), **settings))[0])


@pytest.mark.parametrize("window", [1, 2])
def test_decay_acts_once_a_step_at_the_rate_of_that_step(window: int) -> None:
    class ConstantLoss(UserModule):
        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            return (self.net(batch[0]) * 0).sum()

    start = weights(UserModule())
    for a, b in zip(
        weights(trained(ConstantLoss(), [WeightDecay(strength=0.5)], accumulate_grad_batches=window)),
        start,
        strict=True,
    ):
        factor = 1.0
        steps = 2 * 4 // window
        for step in range(steps if a.ndim > 1 else 0):
            factor *= 1 - 0.1 * 0.9**step * 0.5
        torch.testing.assert_close(a, b * factor, rtol=1e-5, atol=0)


@pytest.mark.parametrize("window", [1, 2])
def test_proximal_steps_and_projections_come_after_the_optimizer(window: int) -> None:
    module = trained(UserModule(), [MaxNorm(max_norm=0.3), L1(strength=0.3)], accumulate_grad_batches=window)
    for weight in weights(module)[::2]:
        assert (weight == 0).any()
        assert weight.norm(dim=1).max() <= 0.3 + 1e-6


def test_dropout_acts_in_training_only() -> None:
    module = trained(UserModule(), [Dropout(p=0.5)])
    assert not torch.equal(weights(module)[0], weights(trained(UserModule()))[0])
    inputs = torch.randn(5, 6)
    plain = UserModule()
    plain.load_state_dict(module.state_dict())  # no hook adds keys
    assert torch.equal(module.eval()(inputs), plain.eval()(inputs))


def test_sam_takes_two_passes() -> None:
    calls = 0

    class Counted(UserModule):
        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            nonlocal calls
            calls += 1
            return super().training_step(batch, index)

        def on_train_batch_start(self, batch: Any, index: int) -> None:
            nonlocal calls
            calls *= self.global_step > 0  # do not count passes that measured the effects

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
def test_methods_that_cannot_work_as_a_callback_are_refused(method: Regularizer, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"^regularizer={method.name}: cannot work as a callback, because {reason}"):
        trained(UserModule(), [method])


def test_methods_act_on_calls_of_the_module_or_of_a_named_part() -> None:
    plain = weights(trained(UserModule()))[0]
    assert not torch.equal(weights(trained(UserModule(), [DropConnect(p=0.5)], "net"))[0], plain)
    assert not torch.equal(weights(trained(UserModule(through="self"), [DropConnect(p=0.5)]))[0], plain)


def test_names_of_the_package() -> None:
    assert reglab.Dropout is Dropout
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        reglab.Nothing  # noqa: B018
