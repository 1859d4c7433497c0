"""`Regularize` on a LightningModule: restored modes, and effect measurements without side effects."""

import threading
import warnings
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy

from reglab import L2, SAM, Dropout, MaxNorm, Regularize
from reglab.regularizers import DropConnect, GradientClipping, GradientNoise, Orthogonal, Regularizer, SpectralNorm
from reglab.schema.errors import ConfigError
from reglab.training import regularize
from reglab.training.train_eval_mode import parts_in_eval
from tests.errors import config_error


class Logging(pl.LightningModule):
    """User-written module with batch normalization, dropout, a metric, logs and a list of losses."""

    def __init__(self, functional: bool = False, returns: str = "tensor") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Sequential(nn.ReLU()), nn.Linear(8, 3)
        )
        self.functional, self.returns = functional, returns
        self.accuracy = MulticlassAccuracy(num_classes=3)
        self.losses: list[float] = []
        self.modes: list[list[str]] = []

    def training_step(self, batch: list[Tensor], index: int) -> Any:
        self.modes.append([name for name, _ in parts_in_eval(self.net)])
        hidden = self.net[:3](batch[0].sub_(0.1))  # in place, as in common normalization code
        outputs = self.net[4](F.relu(hidden) if self.functional else self.net[3](hidden))
        loss = F.cross_entropy(outputs, batch[1])
        self.losses.append(float(loss.detach()))
        self.accuracy(outputs, batch[1])
        self.log("loss", loss, on_epoch=True, on_step=True)
        self.log_dict({"accuracy": self.accuracy}, on_epoch=True, on_step=False)
        return {"loss": loss} if self.returns == "dict" else loss

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.05)


def fitted(module: Logging, methods: list[Regularizer], name: str = "net", **settings: Any) -> pl.Trainer:
    generator = torch.Generator().manual_seed(1)
    data = TensorDataset(torch.randn(40, 6, generator=generator), torch.randint(3, (40,), generator=generator))
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, callbacks=[Regularize(methods, name)], log_every_n_steps=1, **quiet, **settings
    )
    torch.manual_seed(7)
    trainer.fit(module, DataLoader(data, batch_size=10))
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("methods", "settings"),
    [
        ([Dropout(p=0.5), MaxNorm(max_norm=1.0)], {}),
        ([L2(strength=0.1)], {"accumulate_grad_batches": 3, "gradient_clip_val": 0.1}),
        ([SAM(rho=0.05), Dropout(p=0.2)], {"precision": "bf16-mixed"}),
        ([L2(strength=0.1), Dropout(p=0.2)], {"precision": "bf16-true"}),
    ],
    ids=["plain", "accumulated", "mixed", "bfloat16"],
)
def test_effect_measurements_do_not_change_training(
    methods: list[Regularizer], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, other = Logging(), Logging(returns="dict")
    logged = [fitted(measured, methods, **settings).callback_metrics]
    monkeypatch.setattr(regularize, "check_effects", lambda step: [])
    monkeypatch.setattr(regularize, "noisy_parts", lambda step: [])
    logged.append(fitted(other, methods, **settings).callback_metrics)
    assert logged[0].keys() == logged[1].keys() >= {"loss_step", "loss_epoch", "accuracy"}
    assert all(torch.equal(logged[0][name], logged[1][name]) for name in logged[0])
    state = other.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in measured.state_dict().items())
    assert measured.losses == other.losses
    assert "log" not in vars(measured)


def test_a_method_without_effect_is_refused_before_the_first_step() -> None:
    module = Logging(functional=True)
    start = {name: value.clone() for name, value in module.state_dict().items()}
    with config_error("regularizer=dropout: first batch ... never calls 3.0"):
        fitted(module, [L2(strength=0.1), Dropout(p=0.5)])
    assert all(torch.equal(value, start[name]) for name, value in module.state_dict().items())
    assert not any(part._forward_hooks for part in module.modules())


def test_layers_left_in_eval_mode_on_purpose_are_named() -> None:
    module = Logging()
    module.net[3][0].eval()
    with pytest.raises(ConfigError, match=r"^regularizer=dropout: no effect .*eval mode"):
        fitted(module, [Dropout(p=0.5)])
    assert [name for name, _ in parts_in_eval(module)] == ["net.3.0"]


@pytest.mark.filterwarnings("ignore:Found")  # Lightning's warning about modules in eval mode
def test_a_loaded_network_trains_and_its_modes_are_restored() -> None:
    module = Logging()
    module.net.eval()
    module.net[1].requires_grad_(False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted(module, [Dropout(p=0.5)])
    assert any("eval mode" in str(warning.message) and "Regularize" in str(warning.message) for warning in caught)
    assert module.modes[-1] == ["1"]
    assert [name for name, _ in parts_in_eval(module)] == ["net"]
    assert module.net[1].running_mean is not None
    assert module.net[1].running_mean.eq(0).all()


@pytest.mark.filterwarnings("ignore:Found")
def test_a_teacher_stays_in_eval_mode() -> None:
    class Distilled(Logging):
        def __init__(self) -> None:
            super().__init__()
            self.teacher = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).eval()

        def training_step(self, batch: list[Tensor], index: int) -> Any:
            with torch.no_grad():
                target = self.teacher(batch[0])
            return F.mse_loss(self.net(batch[0]), target)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.net.parameters(), lr=0.1)

    module = Distilled()
    assert train_and_warn(module, [L2(strength=0.1)], "")[0] == []
    assert torch.equal(module.teacher[1].running_mean, torch.zeros(8))
    assert [name for name, _ in parts_in_eval(module)] == ["teacher"]


def test_weights_that_the_optimizer_was_not_given_are_named() -> None:
    class Head(Logging):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.net[4].parameters(), lr=0.1)

    with config_error("regularizer=max_norm: no effect ... none of the weights"):
        fitted(Head(), [MaxNorm(max_norm=0.1)], "net.0")
    for method in (L2(strength=0.1), Orthogonal(strength=0.1)):
        with pytest.raises(ConfigError, match=rf"^regularizer={method.name}: the optimizer has none .*\(weight\)"):
            fitted(Head(), [method], "net.0")


@pytest.mark.parametrize("noisy", [False, True])
def test_noise_in_evaluation_gives_a_warning(noisy: bool) -> None:
    class Sampling(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(super().forward(x), 0.2, training=noisy or self.training)

    class SamplingModule(Logging):
        def __init__(self) -> None:
            super().__init__()
            self.net[4] = Sampling(8, 3)

        def training_step(self, batch: list[Tensor], index: int) -> Any:
            return F.cross_entropy(self.net(batch[0]), batch[1])

    for name in ("", "net"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted(SamplingModule(), [L2(strength=0.1)], name)
        assert any("random outputs in eval mode" in str(warning.message) for warning in caught) is noisy


class Skipping(Logging):
    """Skip the first batch."""

    def training_step(self, batch: list[Tensor], index: int) -> Any:
        return None if index == 0 else super().training_step(batch, index)


class SkippingWhole(Skipping):
    """Skip the first batch, and call the module itself in later ones."""

    def training_step(self, batch: list[Tensor], index: int) -> Any:
        return None if index == 0 else F.cross_entropy(self(batch[0]), batch[1])

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs)


class Keywords(Logging):
    def training_step(self, batch: list[Tensor], **options: Any) -> Any:  # type: ignore[override]
        return super().training_step(batch, 0)


class Iterated(Logging):
    def training_step(self, dataloader_iter: Any) -> Any:  # type: ignore[override]
        (inputs, labels), *_ = next(dataloader_iter)
        self.losses.append(0.0)
        return F.cross_entropy(self.net(inputs), labels)


class Embedded(Logging):
    """Pass batches with an autograd graph to the training step."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))

    def on_after_batch_transfer(self, batch: list[Tensor], dataloader_idx: int) -> list[Tensor]:
        return [batch[0] * self.scale, batch[1]]


class Locked(Logging):
    """Pass batches with an object that cannot be copied to the training step."""

    def on_after_batch_transfer(self, batch: list[Tensor], dataloader_idx: int) -> list[Any]:
        return [*batch, threading.Lock()]


class Bags(Logging):
    """Network with sparse gradients in its first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.EmbeddingBag(5, 8, sparse=True), nn.Linear(8, 3))

    def training_step(self, batch: list[Tensor], index: int) -> Any:
        return F.cross_entropy(self.net(batch[0].abs().long().clamp(max=4)), batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train_and_warn(module: Logging, methods: list[Regularizer], name: str = "net") -> tuple[list[str], pl.Trainer]:
    """Train to the end and return the warnings of `Regularize` and the trainer."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer = fitted(module, methods, name)
    return [str(warning.message) for warning in caught if str(warning.message).startswith("Regularize:")], trainer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Skipping, None),
        (Keywords, None),
        (Iterated, "dataloader_iter"),
        (Embedded, None),
        (Locked, "TypeError"),
        (Bags, None),
    ],
)
def test_every_module_that_lightning_trains_is_trained(kind: type[Logging], reason: str | None) -> None:
    module = kind()
    start = [value.clone() for value in module.parameters()]
    messages, trainer = train_and_warn(module, [L2(strength=0.1), MaxNorm(max_norm=1.0)])
    assert trainer.global_step == 8
    assert all(not torch.equal(value, before) for value, before in zip(module.parameters(), start, strict=True))
    assert len(messages) == (reason is not None)
    assert all("not measured" in message and str(reason) in message for message in messages)
    assert len(module.losses) == {Skipping: 6, Bags: 0}.get(kind, 8)  # without measured steps


def test_errors_of_training_steps_are_passed_on() -> None:
    class Broken(Logging):
        def training_step(self, batch: list[Tensor], index: int) -> Any:
            return super().training_step([batch[0][:, 1:], batch[1]], index)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            fitted(Broken(), [Dropout(p=0.5)])
    assert any("not measured" in str(warning.message) for warning in caught)


def test_a_module_set_to_eval_after_the_measurement_gives_a_warning() -> None:
    class Frozen(Logging):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            self.net.eval()

    messages, _ = train_and_warn(Frozen(), [Dropout(p=0.5), L2(strength=0.1)])
    assert len(messages) == 1
    assert "dropout: no effect in batch 0 of epoch 0," in messages[0]

    class Later(Logging):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            self.net.train(batch_idx < 2)

    messages, _ = train_and_warn(Later(), [Dropout(p=0.5), L2(strength=0.1)])
    assert len(messages) == 1
    assert "dropout: no effect in batch 2 of epoch 0," in messages[0]
    module = Logging()
    assert train_and_warn(module, [Dropout(p=0.5), L2(strength=0.1)])[0] == []
    assert not any(part._forward_pre_hooks for part in module.modules())


@pytest.mark.parametrize("ignores", [True, False])
def test_a_method_that_acts_in_validation_gives_a_warning(ignores: bool) -> None:
    class Always(Logging):
        def train(self, mode: bool = True) -> Any:
            return super().train(mode or ignores)

        def validation_step(self, batch: list[Tensor], index: int) -> None:
            self.net(batch[0])

        def val_dataloader(self) -> Any:
            return DataLoader(TensorDataset(torch.zeros(4, 6), torch.zeros(4)), batch_size=2)

    messages, _ = train_and_warn(Always(), [Dropout(p=0.5), L2(strength=0.1)])
    assert len(messages) == ignores
    assert all("validation batch 0 of epoch 0" in message for message in messages)


def replace_activation(module: Logging, epoch: int, index: int) -> None:
    if (epoch, index) == (1, 0):
        module.net[3] = nn.Sequential(nn.ReLU())


def stop_calling(module: Logging, epoch: int, index: int) -> None:
    module.functional = (epoch, index) == (0, 2)  # called again in later batches: one warning


def replace_layer(module: Logging, epoch: int, index: int) -> None:
    if (epoch, index) == (1, 0):
        module.net[4] = nn.Linear(8, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replace_activation, ["dropout: ", " 3.0 in batch 0 of epoch 1", "replaced"]),
        (stop_calling, ["dropout: ", " 3.0 in batch 2 of epoch 0", "not called"]),
        (replace_layer, ["l2: ", " 4.weight in batch 0 of epoch 1", "optimizer"]),
    ],
)
def test_modules_replaced_or_no_longer_called_in_training_give_a_warning(change: Any, words: list[str]) -> None:
    class Changing(Logging):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            change(self, self.current_epoch, batch_idx)

    messages, trainer = train_and_warn(Changing(), [Dropout(p=0.5), L2(strength=0.1)])
    assert trainer.global_step == 8
    assert len(messages) == 1
    assert all(word in messages[0] for word in words)


def test_weights_that_the_optimizer_is_given_later_are_penalized() -> None:
    class Growing(Logging):
        def on_train_epoch_start(self) -> None:
            if self.current_epoch == 1:
                torch.manual_seed(0)
                self.net.add_module("spare", nn.Linear(2, 2))  # gets gradients from the penalty only
                self.start = self.net.spare.weight.detach().clone()
                self.trainer.optimizers[0].add_param_group({"params": [*self.net.spare.parameters()]})

    module = Growing()
    assert train_and_warn(module, [L2(strength=0.1)])[0] == []
    assert module.net.spare.weight.norm() < module.start.norm()


def test_a_missing_module_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^module=nt: no such module; did you mean net"):
        fitted(Logging(), [Dropout(p=0.5)], "nt")


def test_a_skipped_first_batch_does_not_count_as_a_missing_call() -> None:
    messages, trainer = train_and_warn(SkippingWhole(), [DropConnect(p=0.5)], "")
    assert trainer.global_step == 8
    assert messages == []


def test_a_later_batch_is_measured_where_the_first_has_no_loss() -> None:
    class Functional(Skipping):
        def forward(self, inputs: Tensor) -> Tensor:
            return F.linear(inputs, self.net[0].weight)

        def training_step(self, batch: list[Tensor], index: int) -> Any:
            return None if index == 0 else F.cross_entropy(self(batch[0]), batch[1])

    with pytest.raises(ConfigError, match=r"^regularizer=dropout: no effect"):
        fitted(Functional(), [Dropout(p=0.5)])

    class Never(Skipping):
        def training_step(self, batch: list[Tensor], index: int) -> Any:
            return None

    messages, _ = train_and_warn(Never(), [Dropout(p=0.5)])
    assert ["not measured" in message for message in messages] == [True]


class Sparse(Bags):
    """Network with sparse gradients only."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.EmbeddingBag(5, 3, sparse=True))

    def configure_optimizers(self) -> Any:
        return torch.optim.SparseAdam(self.parameters(), lr=0.1)


def test_penalties_are_refused_under_an_optimizer_for_sparse_gradients() -> None:
    with config_error("regularizer=l2: dense gradients ... SparseAdam"):
        fitted(Sparse(), [L2(strength=0.1)])
    assert train_and_warn(Sparse(), [MaxNorm(max_norm=0.1)])[0] == []


@pytest.mark.parametrize(
    "method", [SAM(rho=0.1), GradientNoise(eta=0.1), GradientClipping(max_norm=0.1), SpectralNorm()]
)
def test_methods_that_change_gradients_refuse_sparse_ones(method: Regularizer) -> None:
    with pytest.raises(ConfigError, match=rf"^regularizer={method.name}: needs dense gradients"):
        fitted(Bags(), [method])
