"""Regularizers on any LightningModule, as one callback."""

import math
from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from reglab.errors import ConfigError
from reglab.regularizers._dispatch import Dispatch, effective_lr, overrides
from reglab.regularizers._order import in_order
from reglab.regularizers.base import Regularizer, Weights, penalized


class Regularize(pl.Callback):
    """Hangs regularizers on the training of a LightningModule that knows nothing of them.

    ``Trainer(callbacks=[Regularize([Dropout(p=0.5), L1(strength=1e-4)])])``. What acts on layers, on weights and around
    the optimizer works as in reglab's own runs, once a step, with accumulated gradients and with clipping. What has to
    change the batch, or to see outputs and labels, is refused: a callback has neither.

    Args:
        regularizers: their order does not matter, they act in their own.
        module: name of the submodule that they act on (``"net"``); empty: the whole module.

    Raises:
        ConfigError: from the constructor or in the first step: one cannot work here, or found nothing to act on.
    """

    def __init__(self, regularizers: Iterable[Regularizer], module: str = "") -> None:
        self.regularizers = in_order(regularizers)
        self._name = module
        for regularizer in self.regularizers:
            if overrides(regularizer, "transform_batch"):
                raise ConfigError(_refusal(regularizer, "has to change the batch"))
            if overrides(regularizer, "callbacks"):
                raise ConfigError(_refusal(regularizer, "is a callback itself: give Trainer its callbacks()"))

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attaches the regularizers and wraps the optimizer."""
        if not pl_module.automatic_optimization or len(trainer.optimizers) != 1:
            raise ConfigError("Regularize: needs automatic optimization with one optimizer; leave the callback out")
        self._model = pl_module.get_submodule(self._name)
        self._called = False
        self._watch = self._model.register_forward_hook(self._note_call)
        self._waiting: list[Regularizer] = []  # for a call of the model itself
        for regularizer in self.regularizers:
            regularizer.to(pl_module.device)
            hooks = _hooks(self._model)
            if not regularizer.attach(self._model):
                raise ConfigError(_refusal(regularizer, f"found nothing to act on; {regularizer.needs}"))
            if _hooks(self._model) > hooks:
                self._waiting.append(regularizer)
        self._losses = [r for r in self.regularizers if overrides(r, "loss")]
        for regularizer in self._losses:
            _check_penalty(regularizer, self._model)
        self._dispatch = Dispatch(self.regularizers, self._model)
        trainer.strategy.optimizers = [self._dispatch.wrapped(trainer.optimizers[0])]
        self._seen = trainer.global_step

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Adds the gradients of penalties: once a step, after all its batches and before they are clipped."""
        self._add_penalties()
        self._lr = effective_lr(optimizer)  # when the batch has ended, the schedule has moved it

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """What comes after the optimizer, where the batch ended a step."""
        if self._waiting and not self._called:
            why = (
                "acts on calls of the module, and training_step calls only parts of it; name the part, as module='net'"
            )
            raise ConfigError(_refusal(self._waiting[0], why))
        if trainer.global_step != self._seen:
            self._seen = trainer.global_step
            self._dispatch.after_step(self._lr)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing is watched any more."""
        self._watch.remove()

    def _note_call(self, model: nn.Module, inputs: Any, output: Any) -> None:
        self._called |= model.training

    @torch.enable_grad()
    def _add_penalties(self) -> None:
        for regularizer in self._losses:
            loss = _penalty(regularizer, self._model, 0.0)
            try:
                if loss.requires_grad:
                    loss.backward()
            except RuntimeError as error:  # of the graph of a forward pass that is over
                raise ConfigError(_refusal(regularizer, "has to see the forward pass")) from error


def _penalty(regularizer: Regularizer, model: nn.Module, loss: float) -> Tensor:
    """What the regularizer makes of a loss when it sees nothing but the weights."""
    given = torch.tensor(loss, device=next(model.parameters()).device)
    return regularizer.loss(given, _WeightsAlone(model))  # type: ignore[arg-type]


def _check_penalty(regularizer: Regularizer, model: nn.Module) -> None:
    """Refuses what is not a penalty on the weights, added to the loss whatever that is."""
    try:
        made = [float(_penalty(regularizer, model, loss).detach()) for loss in (0.0, 1.0)]
    except _NotThereError as error:
        raise ConfigError(_refusal(regularizer, f"has to see {error}")) from None
    except Exception as error:  # what a forward pass would have left is not there
        raise ConfigError(_refusal(regularizer, "has to see the forward pass")) from error
    if not math.isclose(made[1] - made[0], 1.0, rel_tol=1e-3):
        raise ConfigError(_refusal(regularizer, "has to change the loss itself"))


def _hooks(model: nn.Module) -> int:
    return len(model._forward_hooks) + len(model._forward_pre_hooks)


class _NotThereError(Exception):
    """What a callback does not have."""


class _WeightsAlone:
    """A step of which nothing but the weights is known."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    @property
    def weights(self) -> Weights:
        return penalized(self.model)

    def __getattr__(self, name: str) -> Any:
        raise _NotThereError({"outputs": "the model's outputs", "batch": "the batch"}.get(name, f"the {name}"))


def _refusal(regularizer: Regularizer, why: str) -> str:
    return f"regularizer={regularizer.name}: cannot work as a callback, for it {why}"
