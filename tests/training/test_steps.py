"""Every regularizer with every step setting, in `Module` and in `Regularize`, compared with a plain training loop.

Each combination gives the weights of the loop, or is refused by an error that names the regularizer.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader

from reglab import Regularize
from reglab.regularizers import DropConnect
from reglab.regularizers._dispatch import Dispatch, effective_rates
from reglab.regularizers._order import in_order
from reglab.regularizers.ema import newest_share
from reglab.regularizers.swa import skipped
from reglab.schema.errors import ConfigError
from reglab.seeding import mix
from reglab.training.fit import Fit
from reglab.training.module import Module
from tests.regularizers.steps import task_of
from tests.regularizers.test_table import ROWS, Row

SEED = 3
STEPPING = [row for row in ROWS if not row.make().monitors_validation]  # early stopping does not change a step


class Setting(NamedTuple):
    """Optimizer, precision, accumulation and clipping of training steps."""

    optimizer: Callable[[Any], torch.optim.Optimizer]
    window: int = 1
    clip: float | None = None
    algorithm: str = "norm"
    autocast: torch.dtype | None = None
    scale: float | None = None
    reentrant: bool | None = None  # `use_reentrant` of activation checkpointing; None: no checkpointing
    scheduled: bool = False


SETTINGS = {
    "fused_clipped_short_window": Setting(
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True), window=2, clip=0.2, scheduled=True
    ),
    "fused_16_scaled": Setting(
        lambda p: torch.optim.SGD(p, lr=0.1, fused=True), clip=0.5, autocast=torch.half, scale=1024.0
    ),
    "foreach_bf16_checkpointed": Setting(
        lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
        clip=0.05,
        algorithm="value",
        autocast=torch.bfloat16,
        reentrant=False,
    ),
    "checkpointed_reentrant": Setting(lambda p: torch.optim.SGD(p, lr=0.1), reentrant=True),
}


def checkpoint_middle(model: nn.Module, reentrant: bool) -> None:
    """Put the middle layers of a model under activation checkpointing."""
    if not isinstance(model, nn.Sequential):
        for block in model.get_submodule("blocks"):
            block.forward = _checkpointed_call(block.forward, reentrant)  # type: ignore[method-assign]
        return
    layers = list(model.children())
    end = layers.index(model.get_submodule("output"))
    first, last = nn.Sequential(*layers[:2]), nn.Sequential(*layers[end:])
    middle = _checkpointed_call(nn.Sequential(*layers[2:end]).forward, reentrant)
    model.forward = lambda inputs: last(middle(first(inputs)))  # type: ignore[method-assign]


def _checkpointed_call(forward: Callable[..., Tensor], reentrant: bool) -> Callable[..., Tensor]:
    return lambda *inputs: checkpoint(forward, *inputs, use_reentrant=reentrant)


def windows(batches: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(batches), size):
        yield batches[start : start + size]


def train_by_hand(row: Row, setting: Setting, *, divisor: int | None = None) -> nn.Module:
    """Return the model after one epoch of a plain loop.

    The data losses of an accumulation window are divided by `divisor`, by default their number.
    """
    fit = row.fit()
    model, dispatch = fit.model.train(), Dispatch(fit.regularizers, fit.model)
    plain = setting.optimizer(model.parameters())
    optimizer = dispatch.wrapped(plain)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(plain, 0.5) if setting.scheduled else None
    scale = setting.scale or 1.0
    half = setting.autocast
    precision: Any = torch.autocast("cpu", half, cache_enabled=False) if half else nullcontext()  # as in Lightning
    path: list[list[Tensor]] = []
    for step, window in enumerate(windows(row.batches(), setting.window)):

        def closure(step: int = step, window: list[Any] = window) -> Tensor:
            optimizer.zero_grad()
            for part, batch in enumerate(window):
                seed_step(step, part)
                with precision:
                    loss, data_loss = fit.losses(batch)
                mean = loss / len(window) if divisor is None else data_loss / divisor + (loss - data_loss) / len(window)
                (mean * scale).backward()
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad /= scale
            if setting.clip is not None:
                clip = {"norm": nn.utils.clip_grad_norm_, "value": nn.utils.clip_grad_value_}[setting.algorithm]
                clip(model.parameters(), setting.clip)
            return loss

        optimizer.step(closure)
        dispatch.after_step(effective_rates(optimizer))
        if scheduler is not None:
            scheduler.step()
        path.append([parameter.detach().clone() for parameter in model.parameters()])
    if (mean_of_path := averaged_weights(fit, path)) is not None:
        with torch.no_grad():
            for parameter, mean in zip(model.parameters(), mean_of_path, strict=True):
                parameter.copy_(mean)
    return model


def averaged_weights(fit: Fit, path: list[list[Tensor]]) -> list[Tensor] | None:
    """Return the mean of the weights after each step that EMA and SWA end with, None for other methods."""
    method = fit.regularizers[0]
    if method.name not in ("ema", "swa"):
        return None
    mean: list[Tensor] = path[0]
    for step, weights in enumerate(
        path if method.name == "ema" else path[skipped(float(method.start), len(path)) :], 1
    ):
        share = newest_share(float(method.decay), step) if method.name == "ema" else 1 / step
        mean = weights if step == 1 else [m + share * (w - m) for m, w in zip(mean, weights, strict=True)]
    return mean


def seed_step(step: int, part: int) -> None:
    torch.manual_seed(mix(SEED, step, part) if part else mix(SEED, step))


def fitted(module: pl.LightningModule, row: Row, setting: Setting, callbacks: list[pl.Callback], **keys: Any) -> None:
    plugins: list[Any] = []
    if setting.autocast is not None:
        name = "16-mixed" if setting.autocast is torch.half else "bf16-mixed"
        scaler = torch.amp.GradScaler("cpu", init_scale=setting.scale) if setting.scale else None
        plugins = [MixedPrecision(name, "cpu", scaler=scaler)]
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=setting.window,
        gradient_clip_val=setting.clip,
        gradient_clip_algorithm=setting.algorithm,
        plugins=plugins,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **keys,
    )
    trainer.fit(module, DataLoader(row.batches(), batch_size=None))


def train_with_module(row: Row, setting: Setting) -> nn.Module:
    fit = row.fit()
    if setting.reentrant is not None:
        checkpoint_middle(fit.model, setting.reentrant)
    schedule = (
        (lambda optimizer, _: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)) if setting.scheduled else None
    )
    module = Module(fit, setting.optimizer, schedule, seed=SEED)
    fitted(module, row, setting, [callback for r in fit.regularizers for callback in r.callbacks()])
    return fit.model


class UserModule(pl.LightningModule):
    """User-written module that seeds its steps like `Module`."""

    def __init__(self, row: Row, setting: Setting) -> None:
        super().__init__()
        self.net, self.task, self.setting = row.network(), task_of(row.kind), setting
        if setting.reentrant is not None:
            checkpoint_middle(self.net, setting.reentrant)

    def training_step(self, batch: Any, index: int) -> Tensor:
        seed_step(self.trainer.global_step, index % self.setting.window)
        return self.task.criterion(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        optimizer = self.setting.optimizer(self.parameters())
        if not self.setting.scheduled:
            return optimizer
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def train_with_regularize(row: Row, setting: Setting) -> nn.Module:
    module = UserModule(row, setting)
    fitted(module, row, setting, [Regularize([row.make()], "net")])
    return module.net


def assert_same(actual: nn.Module, expected: nn.Module) -> None:
    for (name, a), b in zip(actual.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}")


# Combinations that reglab refuses, and in the last set those that torch refuses.
TWO_PASSES = {("SAM", "fused_clipped_short_window"), ("SAM", "fused_16_scaled")}
WITHOUT_GRADIENT = {(method, "checkpointed_reentrant") for method in ("ActivityL1", "ActivityKL")}
TORCH_REFUSES = {(method, "checkpointed_reentrant") for method in ("Jacobian", "Adversarial")}

every = pytest.mark.parametrize("row", STEPPING, ids=lambda row: row.cls)
under = pytest.mark.parametrize("setting", SETTINGS)


@pytest.mark.slow
@every
@under
@pytest.mark.filterwarnings("ignore")
def test_in_reglabs_module(row: Row, setting: str) -> None:
    case = (row.cls, setting)
    if case in TWO_PASSES | WITHOUT_GRADIENT:
        with pytest.raises(ConfigError, match=rf"^regularizer={row.make().name}: "):
            train_with_module(row, SETTINGS[setting])
    elif case in TORCH_REFUSES:
        with pytest.raises(RuntimeError, match="use_reentrant=False"):
            train_with_module(row, SETTINGS[setting])
    else:
        assert_same(train_with_module(row, SETTINGS[setting]), train_by_hand(row, SETTINGS[setting]))


def works_as_a_callback(row: Row) -> bool:
    """Return whether the constructor of `Regularize` accepts the method."""
    try:
        Regularize([row.make()])
    except ConfigError:
        return False
    return True


NEEDS_THE_PASS = {"ActivityL1", "ActivityKL", "Focal", "Flooding", "LabelSmoothing", "ConfidencePenalty"}
NEEDS_THE_PASS |= {"LogitPenalty", "RDrop"}


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in STEPPING if works_as_a_callback(row)], ids=lambda row: row.cls)
@under
@pytest.mark.filterwarnings("ignore")
def test_in_regularize(row: Row, setting: str) -> None:
    if row.cls in NEEDS_THE_PASS or (row.cls, setting) in TWO_PASSES:
        with pytest.raises(ConfigError, match=rf"^regularizer={row.make().name}: "):
            train_with_regularize(row, SETTINGS[setting])
    else:
        # Lightning divides the loss of the training step by the full window, also in a short one, but not penalties.
        reference = train_by_hand(row, SETTINGS[setting], divisor=SETTINGS[setting].window)
        assert_same(train_with_regularize(row, SETTINGS[setting]), reference)


class Direct(nn.Module):
    """Network with a weight that a checkpointed function reads without calling a layer."""

    def __init__(self, reentrant: bool | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 3)
        self.matrix = nn.Parameter(torch.randn(6, 6) / 2)
        self.reentrant = reentrant

    def inner(self, x: Tensor) -> Tensor:
        return nn.functional.linear(nn.functional.dropout(x, 0.2, self.training), self.matrix).tanh()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.inner if self.reentrant is None else _checkpointed_call(self.inner, self.reentrant)
        return self.last(inner(self.first(x)))


class Whole(nn.Module):
    """Network under a single checkpoint."""

    def __init__(self, reentrant: bool | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        return (
            self.net(x) if self.reentrant is None else _checkpointed_call(self.net, self.reentrant)(x.requires_grad_())
        )


METHODS: list[tuple[str, ...]] = [
    ("DropConnect",),
    ("DropConnect", "WeightNoise"),
    ("DropConnect", "RDrop"),
    ("DropConnect", "WeightNoise", "RDrop", "L2"),
    ("WeightNoise", "Jacobian"),
    ("WeightNoise", "Adversarial"),
]


def gradients_of(methods: tuple[str, ...], model: nn.Module, part: nn.Module) -> list[Tensor]:
    rows = {row.cls: row for row in ROWS}
    ordered = in_order([rows[name].make(rows[name].others) for name in methods])
    for method in ordered:
        assert method.attach(part)
    seed_step(0, 0)
    fit = Fit(model, task_of("classification"), ordered).train()
    fit(rows["DropConnect"]._replace(shape=(6,)).batches()[0]).backward()
    assert all(isinstance(p, nn.Parameter) for layer in model.modules() for p in layer._parameters.values())
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("kind", [Direct, Whole])
@pytest.mark.parametrize("methods", METHODS, ids="+".join)
def test_recomputed_passes_have_the_same_changed_weights(methods: tuple[str, ...], kind: Any, reentrant: bool) -> None:
    if reentrant and {"Jacobian", "Adversarial"} & set(methods):
        pytest.skip("torch refuses it")
    plain, again = kind(None), kind(reentrant)
    parts = [model.net if kind is Whole else model for model in (plain, again)]
    for a, b in zip(gradients_of(methods, plain, parts[0]), gradients_of(methods, again, parts[1]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_an_interrupted_backward_pass_restores_the_weights() -> None:
    model, method = Direct(False), DropConnect(p=0.5)
    method.attach(model)

    def broken(_: Tensor) -> None:
        raise KeyboardInterrupt

    model.first.weight.register_hook(broken)
    with pytest.raises(KeyboardInterrupt):
        model(torch.randn(4, 6)).sum().backward()
    with torch.no_grad():
        model(torch.randn(4, 6))
    assert all(isinstance(p, nn.Parameter) for layer in model.modules() for p in layer._parameters.values())


class Overflow(Row):
    """Entry with three batches, the second of which has infinite gradients in float16."""

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        first, second, third = super().batches()
        return [first, (second[0] * 2e3, second[1]), third]


SKIPPED = [
    "L1",
    "MaxNorm",
    "WeightDecay",
    "GroupLasso",
    "SpectralNorm",
    "Lookahead",
    "GradientNoise",
    "EMA",
    "L2",
    "SAM",
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("train", [train_with_module, train_with_regularize], ids=["own", "foreign"])
@pytest.mark.parametrize("method", SKIPPED)
def test_steps_skipped_by_the_scaler_do_not_count(method: str, train: Any, fused: bool) -> None:
    setting = Setting(lambda p: torch.optim.SGD(p, lr=0.1, fused=fused), autocast=torch.half, scale=1024.0)
    row = next(Overflow(*row) for row in ROWS if row.cls == method)
    if method == "SAM":
        with pytest.raises(ConfigError, match=r"^regularizer=sam: needs two passes a step"):
            train(row, setting)
        return
    if method == "EMA" and train is train_with_regularize:
        pytest.skip("is a callback itself")
    batches = row.batches()
    fit = row.fit()
    dispatch = Dispatch(fit.regularizers, fit.model.train())
    optimizer = dispatch.wrapped(setting.optimizer(fit.model.parameters()))
    path = []
    for step in (0, 2):

        def closure(step: int = step) -> Tensor:
            optimizer.zero_grad()
            seed_step(step, 0)
            with torch.autocast("cpu", torch.half, cache_enabled=False):
                loss = fit(batches[step])
            (loss * 1024).backward()
            for parameter in fit.model.parameters():
                parameter.grad /= 1024
            return loss

        optimizer.step(closure)
        dispatch.after_step(effective_rates(optimizer))
        path.append([parameter.detach().clone() for parameter in fit.model.parameters()])
    expected = averaged_weights(fit, path) or path[-1]
    for a, b in zip(train(row, setting).parameters(), expected, strict=True):
        torch.testing.assert_close(a.detach(), b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizers", [1, 2])  # Lightning refuses several optimizers with automatic optimization
def test_several_optimizers_and_manual_steps_are_refused(optimizers: int) -> None:
    class Manual(UserModule):
        def __init__(self) -> None:
            super().__init__(ROWS[0], SETTINGS["fused_16_scaled"])
            self.automatic_optimization = False

        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(optimizers)]

    with pytest.raises(ConfigError, match=r"^Regularize: ") as caught:
        fitted(Manual(), ROWS[0], Setting(lambda p: None), [Regularize([ROWS[0].make()])])  # type: ignore[arg-type,return-value]
    assert "automatic optimization" in str(caught.value)
