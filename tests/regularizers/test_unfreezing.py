"""Layers frozen by `BaseFinetuning` of Lightning and added to the optimizer in a later epoch."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BaseFinetuning
from torch import Tensor, nn
from torch.utils.data import DataLoader

from reglab import Regularize
from reglab.regularizers import SAM, GradientNoise, Lookahead, Regularizer, SpectralNorm
from reglab.training.trainer import make_trainer
from tests.regularizers.steps import batch_of, same_state

METHODS: dict[str, Any] = {
    "lookahead": lambda: [Lookahead(0.5, 3)],
    "lookahead off": lambda: [Lookahead(1.0, 1)],
    "spectral_norm": lambda: [SpectralNorm()],
    "all": lambda: [SAM(0.05), Lookahead(0.5, 3), GradientNoise(0.01), SpectralNorm()],
}


class Pretrained(pl.LightningModule):
    """User-written module whose optimizer gets the unfrozen parameters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))

    def training_step(self, batch: Any, index: int) -> Tensor:
        torch.manual_seed(self.trainer.global_step)
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([p for p in self.parameters() if p.requires_grad], lr=0.1, momentum=0.9)


class Unfreeze(BaseFinetuning):
    """Train the first layer from the second epoch on."""

    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(pl_module.net[0])

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        if epoch:
            self.make_trainable(pl_module.net[0])  # frozen at the start of a resumed run
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.net[0], optimizer, lr=0.1, initial_denom_lr=1)


class Save(pl.Callback):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self._folder / f"{trainer.current_epoch + 1}.ckpt")


def tuned(methods: list[Regularizer], *extra: pl.Callback, checkpoint: str | None = None, first: bool = True) -> Any:
    module, callbacks = Pretrained(), [Regularize(methods), Unfreeze()]
    trainer = make_trainer(
        {"accelerator": "cpu", "max_epochs": 3}, [*(callbacks if first else callbacks[::-1]), *extra]
    )
    loader = DataLoader([batch_of("classification", seed=i) for i in range(4)], batch_size=None)
    trainer.fit(module, loader, ckpt_path=checkpoint)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_unfrozen_layers_are_trained(name: str) -> None:
    module = tuned(METHODS[name]())
    assert not torch.equal(module.net[0].weight, Pretrained().net[0].weight)
    if name == "lookahead off":
        assert same_state(module, tuned([]))
    if "norm" in name:
        assert all(abs(torch.linalg.svdvals(module.net[i].weight)[0] - 1) < 0.05 for i in (0, 2))


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_run_ends_on_the_same_weights(name: str, epoch: int, first: bool, tmp_path: Path) -> None:
    """Resume before and after the layer is unfrozen, with either order of callbacks."""
    uninterrupted = tuned(METHODS[name](), Save(tmp_path), first=first)
    resumed = tuned(METHODS[name](), checkpoint=str(tmp_path / f"{epoch}.ckpt"), first=first)
    assert same_state(resumed, uninterrupted)
