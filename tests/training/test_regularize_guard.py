"""Regularizers on a LightningModule: modes that come back, effects that are measured without a trace."""

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
from reglab.errors import ConfigError
from reglab.regularizers import Regularizer
from reglab.training import regularize
from reglab.training.modes import parts_in_eval


class Logging(pl.LightningModule):
    """Somebody's module with batch normalization, dropout, a metric, logs and a list of its own."""

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
        hidden = self.net[:3](batch[0].sub_(0.1))  # in place, as people normalize
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
def test_training_goes_on_as_if_nothing_had_been_measured(
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
    with pytest.raises(ConfigError, match=r"^regularizer=dropout: no effect on the first batch .*never calls 3\.0"):
        fitted(module, [L2(strength=0.1), Dropout(p=0.5)])
    assert all(torch.equal(value, start[name]) for name, value in module.state_dict().items())
    assert not any(part._forward_hooks for part in module.modules())


def test_layers_left_in_eval_mode_on_purpose_are_named() -> None:
    module = Logging()
    module.net[3][0].eval()
    with pytest.raises(ConfigError, match=r"^regularizer=dropout: no effect .*eval mode"):
        fitted(module, [Dropout(p=0.5)])
    assert [name for name, _ in parts_in_eval(module)] == ["net.3.0"]


@pytest.mark.filterwarnings("ignore:Found")  # Lightning's own, on modules in eval mode
def test_a_loaded_network_trains_and_gets_its_modes_back() -> None:
    module = Logging()
    module.net.eval()
    module.net[1].requires_grad_(False)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        fitted(module, [Dropout(p=0.5)])
    assert any("eval mode" in str(warning.message) and "Regularize" in str(warning.message) for warning in given)
    assert module.modes[-1] == ["1"]
    assert [name for name, _ in parts_in_eval(module)] == ["net"]
    assert module.net[1].running_mean is not None
    assert module.net[1].running_mean.eq(0).all()


def test_weights_that_the_optimizer_was_not_given_are_named() -> None:
    class Head(Logging):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.net[4].parameters(), lr=0.1)

    with pytest.raises(ConfigError, match=r"^regularizer=max_norm: no effect .*none of the weights .* are trained"):
        fitted(Head(), [MaxNorm(max_norm=0.1)], "net.0")


@pytest.mark.parametrize("noisy", [False, True])
def test_noise_in_evaluation_is_warned_of(noisy: bool) -> None:
    class Sampling(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(super().forward(x), 0.2, training=noisy or self.training)

    class Whole(Logging):
        def __init__(self) -> None:
            super().__init__()
            self.net[4] = Sampling(8, 3)

        def training_step(self, batch: list[Tensor], index: int) -> Any:
            return F.cross_entropy(self.net(batch[0]), batch[1])

    for name in ("", "net"):
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            fitted(Whole(), [L2(strength=0.1)], name)
        assert any("random outputs in eval mode" in str(warning.message) for warning in given) is noisy
