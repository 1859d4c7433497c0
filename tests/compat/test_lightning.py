"""Each private part of Lightning exists and works as documented in `reglab.compat.lightning`."""

from pathlib import Path
from typing import ClassVar

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.compile import from_compiled, to_uncompiled
from torch import Tensor, nn

from reglab.compat.lightning import HOOK_NAME, is_compiled, load_loader_states, takes_batch_index, takes_iterator


def test_the_arguments_of_a_training_step() -> None:
    class Steps:
        def with_index(self, batch: object, batch_idx: int) -> None: ...
        def batch_only(self, batch: object) -> None: ...
        def iterator(self, dataloader_iter: object) -> None: ...

    steps = Steps()
    assert [takes_batch_index(one) for one in (steps.with_index, steps.batch_only)] == [True, False]
    assert [takes_iterator(one) for one in (steps.iterator, steps.batch_only)] == [True, False]


class Counting:
    """A loader of three batches that counts them, with a state."""

    def __init__(self) -> None:
        self.position = 0
        self.loaded: list[int] = []

    def __len__(self) -> int:
        return 3

    def __iter__(self):  # type: ignore[no-untyped-def]
        while self.position < 3:
            self.position += 1
            yield torch.ones(1, 1)
        self.position = 0

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position = state["position"]
        self.loaded.append(self.position)


class Module(pl.LightningModule):
    names: ClassVar[set[object]] = set()

    def __init__(self, load: bool) -> None:
        super().__init__()
        self.layer, self.load = nn.Linear(1, 1), load

    def __setattr__(self, name: str, value: object) -> None:
        if name == HOOK_NAME:
            self.names.add(value)
        super().__setattr__(name, value)

    def training_step(self, batch: Tensor) -> Tensor:
        return self.layer(batch).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        assert self.trainer.estimated_stepping_batches > 0  # sets the loaders up before the checkpoint is read
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_train_start(self) -> None:
        if self.load:
            load_loader_states(self.trainer)


def fitted(module: Module, steps: int, loader: Counting, checkpoint: str | None = None) -> pl.Trainer:
    trainer = pl.Trainer(
        max_epochs=2,
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader, ckpt_path=checkpoint)
    return trainer


def test_a_loader_that_was_set_up_early_goes_on_where_the_checkpoint_was(tmp_path: Path) -> None:
    file = str(tmp_path / "one.ckpt")
    fitted(Module(load=False), 2, Counting()).save_checkpoint(file)
    without, loaded = Counting(), Counting()
    fitted(Module(load=False), 3, without, file)
    fitted(Module(load=True), 3, loaded, file)
    assert loaded.loaded == [2]
    assert without.loaded == []  # once this fails, `load_loader_states` has become superfluous


def test_nothing_is_loaded_without_a_checkpoint() -> None:
    loader = Counting()
    fitted(Module(load=True), 1, loader)
    assert loader.loaded == []


def test_lightning_sets_the_name_of_the_hook_on_the_module() -> None:
    Module.names.clear()
    fitted(Module(load=False), 1, Counting())
    assert {"training_step", "on_train_start"} <= Module.names


@pytest.mark.slow
def test_a_module_that_lightning_unwrapped_is_compiled() -> None:
    module = Module(load=False)
    assert not is_compiled(module)
    unwrapped = from_compiled(torch.compile(module))  # type: ignore[arg-type]
    assert is_compiled(unwrapped)
    assert not is_compiled(to_uncompiled(unwrapped))
