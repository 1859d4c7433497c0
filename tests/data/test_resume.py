"""Training resumed from a checkpoint has the batches of uninterrupted training."""

import warnings
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from reglab.data.batches import Batches

ROWS, BATCH, EPOCHS = 26, 6, 3  # 5 batches an epoch, the last of 2 rows


class Recorder(pl.LightningModule):
    """Model that records the row numbers of each training batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen: list[list[int]] = []

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.seen.append(batch[1].tolist())
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


class Save(pl.Callback):
    """Callback that writes a checkpoint after each batch, each validation and each epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[tuple[int, Path]] = []  # number of batches before the checkpoint

    def _save(self, trainer: pl.Trainer, module: Recorder, when: str) -> None:
        path = self.folder / f"{len(module.seen)}-{when}.ckpt"
        trainer.save_checkpoint(path)
        self.written.append((len(module.seen), path))

    def on_train_batch_end(self, trainer, module, *_) -> None:
        self._save(trainer, module, "batch")

    def on_validation_end(self, trainer, module) -> None:
        self._save(trainer, module, "validation")

    def on_train_epoch_end(self, trainer, module) -> None:
        self._save(trainer, module, "epoch")


def fit(length: dict, callbacks=(), ckpt: Path | None = None, seed: int = 3) -> list[list[int]]:
    inputs, rows = torch.randn(ROWS, 1), torch.arange(ROWS)
    module = Recorder()
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        **length,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, Batches(inputs, rows, BATCH, seed), Batches(inputs, rows, ROWS), ckpt_path=ckpt)
    return module.seen


@pytest.mark.slow
@pytest.mark.parametrize(
    "length",
    [
        {"max_epochs": EPOCHS},
        {"max_epochs": EPOCHS, "limit_train_batches": 3},
        {"max_steps": 13, "max_epochs": -1},
        {"max_epochs": EPOCHS, "val_check_interval": 2},
    ],
    ids=["epochs", "limited", "steps", "validated inside"],
)
def test_resumed_training_has_the_same_batches(tmp_path, length):
    save = Save(tmp_path)
    uninterrupted = fit(length, [save])
    expected = 13 if "max_steps" in length else EPOCHS * length.get("limit_train_batches", 5)
    assert len(uninterrupted) == expected
    for batches, path in save.written:
        assert uninterrupted[:batches] + fit(length, ckpt=path) == uninterrupted, path.name


def test_training_is_resumed_twice(tmp_path):
    # Resume from the end of an epoch with max_steps, where Lightning's epoch count is then one too high.
    length = {"max_steps": 13, "max_epochs": -1}
    (first := tmp_path / "first").mkdir()
    (second := tmp_path / "second").mkdir()
    save, again = Save(first), Save(second)
    uninterrupted = fit(length, [save])
    end_of_epoch = next(path for batches, path in save.written if path.name == "5-epoch.ckpt")
    assert fit(length, [again], ckpt=end_of_epoch) == uninterrupted[5:]
    for batches, path in again.written:
        assert fit(length, ckpt=path) == uninterrupted[5 + batches :], path.name


def test_epochs_of_lightning_equal_those_of_a_plain_loop(tmp_path):
    loader = Batches(torch.zeros(ROWS, 1), torch.arange(ROWS), BATCH, 3)
    plain = [batch[1].tolist() for _ in range(EPOCHS) for batch in loader]
    assert fit({"max_epochs": EPOCHS}) == plain
    # a limit shortens epochs without shifting them
    limited = [batch for epoch in range(EPOCHS) for batch in plain[5 * epoch :][:2]]
    assert fit({"max_epochs": EPOCHS, "limit_train_batches": 2}) == limited
    assert fit({"max_epochs": EPOCHS, "reload_dataloaders_every_n_epochs": 1}) == plain
