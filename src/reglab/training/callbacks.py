"""Lightning callbacks of a run: reporting and timing, scheduled strengths, progress bar."""

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
from reglab.training.module import Metrics, Module


class EvaluationReporter(pl.Callback):
    """Report the metrics of each evaluation, and measure the time of training without evaluation.

    Args:
        report: called with the metrics and the number of finished epochs.

    Attributes:
        train_s: seconds of training without evaluation, after its end.
        steps: number of optimization steps.
        epochs: number of epochs, with a fraction if training ended within one.
    """

    def __init__(self, report: Callable[[Metrics, int], None]) -> None:
        self._report = report
        self.train_s = 0.0
        self.steps = 0
        self.epochs = 0.0
        self._start = 0.0
        self._evaluation_s = 0.0

    @property
    def step_ms(self) -> float:
        """Milliseconds per training step, without evaluation; 0 before the first step."""
        return 1000 * self.train_s / self.steps if self.steps else 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the timer."""
        self._start = _now(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the timer."""
        self.train_s = _now(pl_module) - self._start - self._evaluation_s
        self.steps = trainer.global_step
        self.epochs = self.steps / math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the start of an evaluation."""
        self._evaluation_start = _now(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the metrics of an evaluation."""
        raise_if_stopped()
        assert isinstance(pl_module, Module)
        epoch = trainer.current_epoch + (trainer.state.fn == "fit")
        self._report(pl_module.metrics, epoch)
        if trainer.state.fn == "fit":
            self._evaluation_s += _now(pl_module) - self._evaluation_start


def _now(module: pl.LightningModule) -> float:
    """Return the time in seconds, after all work of the module's GPU."""
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)
    return time.perf_counter()


class ScheduledStrengths(pl.Callback):
    """Set scheduled strengths at the start of each epoch, and track them as ``strength/<name>.<strength>``.

    Args:
        schedules: schedule of each strength, by regularizer and name of the strength.
    """

    def __init__(self, schedules: Mapping[tuple[Regularizer, str], Schedule]) -> None:
        self._schedules = schedules

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the strengths if training is resumed within an epoch."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the strengths of this epoch."""
        for (regularizer, strength), value in self._schedules.items():
            regularizer.get_buffer(strength).fill_(value(trainer.current_epoch + 1))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the strengths to the metrics of the epoch; this callback precedes `EvaluationReporter`."""
        assert isinstance(pl_module, Module)
        for regularizer, strength in self._schedules:
            pl_module.metrics[f"strength/{regularizer.name}.{strength}"] = float(regularizer.get_buffer(strength))


_BAR_METRICS = ("loss", *(base_name(name) for name in HEADLINES))


class EpochBar(pl.Callback):
    """Progress bar of steps with the metrics of the last epoch, on standard error if it is a terminal.

    Args:
        description: text in front of the bar.
    """

    def __init__(self, description: str) -> None:
        self.description = description
        self._bar: Progress | None = None
        self._updated_at = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Display the bar."""
        stderr_console = console(stderr=True)
        self._bar = Progress(
            # A long description is shortened, so that the rest fits into 80 columns.
            TextColumn("{task.description}", table_column=Column(no_wrap=True, ratio=1)),
            BarColumn(bar_width=12),
            TextColumn("{task.completed:.0f}/{task.total:.0f}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[metrics]}", table_column=Column(no_wrap=True)),
            expand=True,
            console=stderr_console,
            disable=not stderr_console.is_terminal,
        )
        self._bar.start()
        self._task = self._bar.add_task(self.description, total=int(trainer.estimated_stepping_batches), metrics="")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Update the bar, at most ten times a second."""
        now = time.perf_counter()
        if self._bar is not None and now - self._updated_at > 0.1:
            self._updated_at = now
            self._bar.update(self._task, completed=trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Display the metrics of the epoch."""
        if self._bar is not None and isinstance(pl_module, Module):
            part = pl_module.parts[0]
            names = [f"{part}/{name}" for name in _BAR_METRICS]
            metrics = [f"{name} {value:.4f}" for name in names if (value := pl_module.metrics.get(name))]
            self._bar.update(self._task, completed=trainer.global_step, metrics="  ".join(metrics))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Display a full bar, also after early stopping."""
        if self._bar is not None:
            self._bar.update(self._task, total=trainer.global_step)
        self._close(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the bar at its present position."""
        self._close(trainer)

    def _close(self, trainer: pl.Trainer) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step)
            self._bar.stop()
            self._bar = None
