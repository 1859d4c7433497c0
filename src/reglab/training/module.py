"""Lightning module of a run: the loss of a batch, seeded steps, evaluation, and the best weights."""

import math
from collections.abc import Callable, Collection
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from reglab.compat.lightning import HOOK_NAME, load_loader_states
from reglab.regularizers._dispatch import Dispatch, effective_rates
from reglab.schema.errors import Diverged
from reglab.seeding import mix, seed_outside_torch, state_outside_torch
from reglab.training.fit import Fit
from reglab.training.weights import load_trainable_state, trainable_state

Metrics = dict[str, float]
SchedulerFactory = Callable[[torch.optim.Optimizer, int], Any]


class Module(pl.LightningModule):
    """LightningModule that trains a `Fit`, evaluates it and keeps the best weights.

    Args:
        fit: model with its task and regularizers.
        optimizer: returns the optimizer of parameters.
        scheduler: returns the scheduler of an optimizer and a number of steps; it is stepped after every step.
        seed: seed of the global generators, which the regularizers and the model use: each optimization step is
            seeded from (seed, step), independent of earlier draws. Seeding NumPy and Python takes 10 us, so they are
            seeded at each step only after a first step of an epoch has drawn from them.
        parts: names of the validation loaders in order: ``("val", "train")``, or ``("train",)`` without validation
            rows. The best weights are those with the lowest ``val/loss``; without it, the last.
        monitored: tracked names of validation metrics that callbacks read in ``trainer.callback_metrics``, as early
            stopping does. Logging them takes 7 ms an epoch; without a name no metric is logged.
    """

    def __init__(
        self,
        fit: Fit,
        optimizer: Callable[[Any], torch.optim.Optimizer],
        scheduler: SchedulerFactory | None = None,
        seed: int = 0,
        parts: tuple[str, ...] = ("val", "train"),
        monitored: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.monitored = frozenset(monitored)
        self.fit = fit
        self.seed = seed
        self.parts = parts
        self._make_optimizer, self._make_scheduler = optimizer, scheduler
        self._dispatch = Dispatch(fit.regularizers, fit.model)
        self._outputs: list[list[tuple[Tensor, Tensor]]] = []
        self._losses: list[tuple[int, Tensor]] = []  # step and loss, not checked yet
        self._added: list[Tensor] = []  # penalties that were added in each step since the last evaluation
        self._generators = [torch.default_generator]
        self._draws_outside_torch = False  # whether steps draw from the generators of NumPy or Python
        self._first_step = True  # the next step is the first of an epoch, or after a resume
        self.metrics: Metrics = {}
        self.best: dict[str, Tensor] | None = None
        self.best_metrics: Metrics = {}
        self.best_step = 0  # step after which the best weights were evaluated
        self.evaluated_step = -1
        self.tested_parts: tuple[str, ...] = ("test", "train")
        """Names of the test loaders in order; ``val`` for metrics that are not measured in every epoch."""

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning sets this string some 50 times a step, and nn.Module.__setattr__ would cost 7 % of a small one.
        if name == HOOK_NAME:
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the model."""
        outputs: Tensor = self.fit.model(inputs)
        return outputs

    # training

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Return the batch: the whole data set is on the device already."""
        return batch

    def configure_optimizers(self) -> Any:
        """Return the optimizer, with its scheduler per step."""
        optimizer = self.wrapped(self._make_optimizer(self.fit.model.parameters()))
        if self._make_scheduler is None:
            return optimizer
        # Counting the steps makes Lightning set up the loader before it loads a checkpoint: see `on_train_start`.
        scheduler = self._make_scheduler(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        """Restore the position of the loader from a checkpoint.

        Lightning does not do so if the steps were counted for a scheduler. Does nothing if it has done so.
        """
        load_loader_states(self.trainer)

    def wrapped(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Return the optimizer, wrapped by regularizers that act around it."""
        return self._dispatch.wrapped(optimizer)

    def on_fit_start(self) -> None:
        """Select the generators that each step seeds: those of the CPU and of the GPU."""
        self._generators = [torch.default_generator]
        if self.device.type == "cuda":
            self._generators.append(torch.cuda.default_generators[self.device.index or 0])
        self._first_step = True

    def on_train_epoch_start(self) -> None:
        """Request a check for draws outside of torch in the first step of the epoch."""
        self._first_step = True

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch, seeded so that a second pass of the optimizer's closure has the same masks."""
        step, window_position = self.trainer.global_step, batch_idx % self.trainer.accumulate_grad_batches
        # Batches of one step have different masks.
        seed = mix(self.seed, step, window_position) if window_position else mix(self.seed, step)
        for generator in self._generators:
            generator.manual_seed(seed)
        if self._draws_outside_torch or self._first_step:
            seed_outside_torch(seed)
        if not self._first_step:
            loss, task_loss = self.fit.losses(batch)
        else:
            state_before, self._first_step = state_outside_torch(), False
            loss, task_loss = self.fit.losses(batch)
            self._draws_outside_torch |= state_outside_torch() != state_before
        self._losses.append((step, loss.detach()))
        if loss is not task_loss:
            self._added.append((loss - task_loss).detach())
        return self._mean_of_window(loss, batch_idx) if self.trainer.accumulate_grad_batches > 1 else loss

    def _mean_of_window(self, loss: Tensor, batch_idx: int) -> Tensor:
        """Scale the loss so that division by `accumulate_grad_batches` gives a mean in a shorter window too."""
        window = self.trainer.accumulate_grad_batches
        remaining = self.trainer.num_training_batches - batch_idx // window * window
        return loss * (window / remaining) if 0 < remaining < window else loss

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Take a step of the `wrapped` optimizer, and apply regularizers that act on the weights after it."""
        optimizer.step(closure=optimizer_closure)
        self._dispatch.after_step(effective_rates(optimizer))

    def on_train_epoch_end(self) -> None:
        """Raise `Diverged` for the first step of the epoch whose loss is not finite."""
        self._check_losses()

    def _check_losses(self) -> None:
        if not self._losses:
            return
        steps, losses = zip(*self._losses, strict=True)
        not_finite = ~torch.stack(losses).isfinite()
        self._losses.clear()  # kept on the device until here, so that no step synchronizes
        if not_finite.any():
            raise Diverged(steps[int(not_finite.int().argmax())])

    # evaluation

    def on_validation_start(self) -> None:
        """Raise `Diverged` instead of evaluating if a loss is not finite."""
        self._check_losses()
        self._outputs = [[] for _ in self.parts]

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Collect outputs; Lightning has set the model to eval mode."""
        self._collect(batch, dataloader_idx)

    def _collect(self, batch: tuple[Tensor, Tensor], loader: int) -> None:
        """Store the outputs and targets of a batch for the metrics of its loader, by number."""
        self._outputs[loader].append(self.fit.task.collected(self.fit.model(batch[0]), batch[1]))

    def on_validation_epoch_end(self) -> None:
        """Compute the metrics of each part, and copy the weights if ``val/loss`` is the lowest so far.

        Raises:
            Diverged: the loss of the training rows is not finite.
        """
        self.metrics = self._evaluate(self.parts, full=False)
        if not math.isfinite(self.metrics["train/loss"]):
            raise Diverged(self.trainer.global_step)
        self.metrics["train/penalty"] = self._dispatch.penalty()
        if self._added:
            self.metrics["train/added_loss"] = float(torch.stack(self._added).mean())
            self._added.clear()
        self.evaluated_step = self.trainer.global_step
        if self.monitored:
            self.log_dict(self.metrics, logger=False)
        self._keep_best()

    def _keep_best(self) -> None:
        """Copy weights and metrics if ``val/loss`` is the lowest so far."""
        loss = self.metrics.get("val/loss")
        if loss is None or not loss < self.best_metrics.get("val/loss", float("inf")):
            return
        self.best_metrics = dict(self.metrics)
        self.best_step = self.trainer.global_step
        state = trainable_state(self.fit.model)
        if self.best is None:
            self.best = {name: tensor.detach().clone() for name, tensor in state.items()}
        else:
            for name, tensor in state.items():
                self.best[name].copy_(tensor)

    def restore_best(self) -> None:
        """Load the best weights into the model; without validation keep the last ones."""
        if self.best is not None:
            load_trainable_state(self.fit.model, self.best)

    def on_test_start(self) -> None:
        """Prepare the evaluation of test rows, and of training and validation rows with the tested weights."""
        self._outputs = [[] for _ in self.tested_parts]

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Collect outputs."""
        self._collect(batch, dataloader_idx)

    def on_test_epoch_end(self) -> None:
        """Compute test metrics, the gap (test loss minus training loss), and the remaining validation metrics.

        Metrics measured in the epoch of the tested weights are not measured again.
        """
        measured = self._evaluate(self.tested_parts, full=True)
        self.metrics = {name: value for name, value in measured.items() if name.startswith("test/")}
        if self.metrics:
            self.metrics["gap/loss"] = self.metrics["test/loss"] - measured["train/loss"]
        unmeasured = (name for name in measured if name.startswith("val/") and name not in self.best_metrics)
        self.metrics |= {f"best/{name}": measured[name] for name in unmeasured}

    def _evaluate(self, parts: tuple[str, ...], *, full: bool) -> Metrics:
        """Return the metrics of the collected outputs as ``part/name``; with `full` all that the task has."""
        names, values = [], []
        for part, pairs in zip(parts, self._outputs, strict=False):
            if not part or not pairs:
                continue
            outputs, targets = pairs[0] if len(pairs) == 1 else map(torch.cat, zip(*pairs, strict=True))
            monitored = {name.removeprefix("val/") for name in self.monitored} if part == "val" else ()
            for name, value in self.fit.task.metrics(
                outputs, targets, full=full and part != "train", more=monitored
            ).items():
                names.append(f"{part}/{name}")
                values.append(value)
        # One transfer from the device for all of them.
        return dict(zip(names, torch.stack(values).tolist(), strict=True)) if values else {}

    # checkpoints: plain tensors and numbers, so that they load without unpickling

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the best weights so far to a checkpoint."""
        checkpoint["reglab"] = {
            "best": self.best,
            "best_figures": self.best_metrics,  # the key of checkpoints that were saved by earlier versions
            "best_step": self.best_step,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the best weights from a checkpoint."""
        self.best = checkpoint["reglab"]["best"]
        self.best_metrics = checkpoint["reglab"]["best_figures"]
        self.best_step = checkpoint["reglab"]["best_step"]
