"""Short trainings with a real Lightning Trainer and the callbacks of the regularizers."""

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from reglab.data.batches import Batches
from reglab.regularizers import Regularizer
from reglab.training.module import Module
from reglab.training.trainer import make_trainer
from tests.regularizers.steps import batch_of, fit_of, network, task_of


class Shuffled(Batches):
    """Training rows of `fitted`, reshuffled in each epoch, with a smaller last batch."""

    def __init__(self) -> None:
        inputs, targets = map(torch.cat, zip(*(batch_of("classification", seed=i) for i in range(4)), strict=True))
        super().__init__(inputs, targets, batch_size=20, seed=5)


def fitted(
    *regularizers: Regularizer,
    epochs: int = 3,
    make: Callable[[Any], torch.optim.Optimizer] = lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.0),
    scheduler: Any = None,
    net: dict[str, Any] | None = None,
    checkpoint: str | None = None,
    loader: Any = None,
    extra: Iterable[pl.Callback] = (),
    module_class: type[Module] = Module,
    **settings: Any,
) -> tuple[Module, pl.Trainer]:
    """Train a classifier on four batches, or on `loader`, and evaluate it on two other batches after each epoch."""
    fit = fit_of(network(**(net or {})), task_of("classification"), regularizers)
    module = module_class(fit, make, scheduler, seed=3, monitored=["val/loss"])
    callbacks = [*extra, *(callback for regularizer in regularizers for callback in regularizer.callbacks())]
    trainer = make_trainer({"accelerator": "cpu", "max_epochs": epochs, **settings}, callbacks)
    batches = [batch_of("classification", seed=i) for i in range(6)]
    loaders = [DataLoader(part, batch_size=None) for part in (batches[:4], batches[4:5], batches[5:])]
    trainer.fit(module, loaders[0] if loader is None else loader, loaders[1:], ckpt_path=checkpoint)
    return module, trainer
