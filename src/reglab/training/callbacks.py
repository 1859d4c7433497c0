"""Lightning callbacks: the stopwatch, the tracker's figures, the progress bar."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from reglab.regularizers._schedules import Schedule
from reglab.regularizers.base import Regularizer
from reglab.schema.metrics import HEADLINES, base_name
from reglab.stopping import raise_if_stopped
from reglab.streams import console
from reglab.training.module import Figures, Module


class Watch(pl.Callback):
    """Hands the figures of every evaluation on, and times training steps apart from evaluation.

    Args:
        report: takes the figures and the number of the epoch they follow, from 1.
    """

    def __init__(self, report: Callable[[Figures, int], None]) -> None:
        self._report = report
        self.train_s = 0.0
        self.steps = 0
        self.epochs = 0.0
        self._since = 0.0
        self._evaluation_s = 0.0

    @property
    def step_ms(self) -> float:
        """Milliseconds a training step, evaluation apart; 0 before the first."""
        return 1000 * self.train_s / self.steps if self.steps else 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._since = _now(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops it."""
        self.train_s = _now(pl_module) - self._since - self._evaluation_s
        self.steps = trainer.global_step
        self.epochs = self.steps / math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluation begins."""
        self._evaluation_began = _now(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluation is over: its figures go to the tracker."""
        raise_if_stopped()
        assert isinstance(pl_module, Module)
        epoch = trainer.current_epoch + (trainer.state.fn == "fit")
        self._report(pl_module.figures, epoch)
        if trainer.state.fn == "fit":
            self._evaluation_s += _now(pl_module) - self._evaluation_began


def _now(module: pl.LightningModule) -> float:
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)
    return time.perf_counter()


class Strengths(pl.Callback):
    """Moves scheduled strengths at the start of each epoch, and has them tracked as ``strength/<name>.<strength>``.

    Args:
        schedules: of each regularizer and name of a strength.
    """

    def __init__(self, schedules: Mapping[tuple[Regularizer, str], Schedule]) -> None:
        self._schedules = schedules

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Resumed inside an epoch, no epoch starts."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sets the values of this epoch."""
        for (regularizer, strength), value in self._schedules.items():
            regularizer.get_buffer(strength).fill_(value(trainer.current_epoch + 1))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds the values to the figures of the epoch; this callback comes before `Watch`."""
        assert isinstance(pl_module, Module)
        for regularizer, strength in self._schedules:
            pl_module.figures[f"strength/{regularizer.name}.{strength}"] = float(regularizer.get_buffer(strength))


class EpochBar(pl.Callback):
    """A progress bar by steps, with the figures of the last epoch, on standard error where that is a terminal."""

    def __init__(self, description: str) -> None:
        self.description = description
        self._bar: Progress | None = None
        self._shown = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws the bar."""
        shown = console(stderr=True)
        self._bar = Progress(
            # What is long gives way first: 80 columns hold the rest.
            TextColumn("{task.description}", table_column=Column(no_wrap=True, ratio=1)),
            BarColumn(bar_width=12),
            TextColumn("{task.completed:.0f}/{task.total:.0f}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True)),
            expand=True,
            console=shown,
            disable=not shown.is_terminal,
        )
        self._bar.start()
        self._task = self._bar.add_task(self.description, total=int(trainer.estimated_stepping_batches), figures="")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Moves it, ten times a second at most."""
        now = time.perf_counter()
        if self._bar is not None and now - self._shown > 0.1:
            self._shown = now
            self._bar.update(self._task, completed=trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Shows the epoch's figures."""
        if self._bar is not None and isinstance(pl_module, Module):
            part = pl_module.parts[0]
            shown = [f"{part}/{n} {value:.4f}" for n in _SHOWN if (value := pl_module.figures.get(f"{part}/{n}"))]
            self._bar.update(self._task, completed=trainer.global_step, figures="  ".join(shown))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves the full bar on the screen, where training ended early too."""
        if self._bar is not None:
            self._bar.update(self._task, total=trainer.global_step)
        self._close(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leaves it as far as it came."""
        self._close(trainer)

    def _close(self, trainer: pl.Trainer) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step)
            self._bar.stop()
            self._bar = None


_SHOWN = ("loss", *(base_name(name) for name in HEADLINES))
