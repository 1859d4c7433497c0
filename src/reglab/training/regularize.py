"""Lightning callback that applies regularizers to any LightningModule."""

from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn

from reglab.compat.torch import forward_hooks
from reglab.regularizers._dispatch import Dispatch, effective_rates, overrides
from reglab.regularizers._hooks import Hook, attach, hooks_of
from reglab.regularizers._order import in_order
from reglab.regularizers.base import Regularizer
from reglab.schema.compatibility import conflict_error
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean
from reglab.schema.text import one_line
from reglab.training.distributed_draws import DistributedDraws, check_strategy
from reglab.training.effect_guard import (
    MeasuredStep,
    NoEffectError,
    UnmeasurableError,
    check_effects,
    noisy_parts,
    unmeasured_caveat,
)
from reglab.training.measured_step import tensors_with_graph, training_step_loss
from reglab.training.regularize_monitor import Monitor
from reglab.training.train_eval_mode import set_training
from reglab.training.weight_penalty import WeightPenalty, unsupported_as_callback

_ATTEMPTS = 10  # batches at most on which the effects are measured


class Regularize(pl.Callback):
    """Apply regularizers to the training of any LightningModule without changes of its code.

    ``Trainer(callbacks=[Regularize([Dropout(p=0.5), L1(strength=1e-4)])])``. Regularizers that act on layers, on
    weights and around the optimizer work as in runs of reglab, once per step, with accumulated gradients and with
    clipping. Regularizers that change the batch, or depend on outputs and labels, raise an error: a callback has
    neither.

    Args:
        regularizers: list in any order; they act in the same order as in runs of reglab.
        module: name of the submodule that they act on (``"net"``); empty: the whole module.

    The modules that they act on are set to training mode with a warning, by
    `reglab.training.train_eval_mode.set_training`, and restored at the end. Before the first step the effect of each
    regularizer is measured on the first batch, by ``training_step`` without logging; one without effect raises an
    error, see `reglab.training.effect_guard`. If the batch has no loss, or one that is not finite, the next batch is
    measured, at most ten batches in all. A step that cannot be measured (it raises an exception, takes
    ``dataloader_iter``, or its batch cannot be copied) is trained with a warning. Later steps are monitored, see
    `reglab.training.regularize_monitor`.

    If gradients of several batches are accumulated, Lightning divides each loss by ``accumulate_grad_batches``, also in
    the last, shorter window of an epoch; penalties are added once per step. A step that a GradScaler skips is not
    counted. With several ranks (``strategy="ddp"``) noise on weights and gradients is equal on all ranks, and noise on
    activations differs between ranks; `attention_dropout` draws as the model's attention does. Strategies that split
    weights, manual optimization and several optimizers raise an error.

    The hooks are removed after training. Checkpoints contain the state of the regularizers, so that a resumed training
    continues as if it had not been interrupted. Weights that the optimizer does not have are not changed.

    Raises:
        ConfigError: in the constructor or in the first step: a regularizer is not supported as a callback, conflicts
            with another, has nothing to act on, or has no effect.
    """

    def __init__(self, regularizers: Iterable[Regularizer], module: str = "") -> None:
        self.regularizers = in_order(_validated(regularizers))
        if not isinstance(module, str):
            raise ConfigError(
                Setting("module", module),
                "must be the name of one submodule (module='net')",
                "leave it out for the whole module",
            )
        self._module_name = module
        self._checkpoint_state: dict[str, Tensor] = {}  # state from a checkpoint, until the regularizers are attached
        self._hooks: list[Hook] = []
        self._modes: list[tuple[nn.Module, bool]] = []  # modes of the model's modules when fit starts
        self._monitor = Monitor((), nn.Module(), set)  # replaced at the start of fit
        for regularizer in self.regularizers:
            if overrides(regularizer, "transform_batch"):
                raise unsupported_as_callback(regularizer, "has to change the batch")
            if regularizer.monitors_validation:
                raise unsupported_as_callback(regularizer, "monitors validation", "use Lightning's own callback")
            if overrides(regularizer, "callbacks"):
                raise unsupported_as_callback(regularizer, "is a callback itself", "pass its callbacks() to Trainer")
        _check_conflicts(self.regularizers)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attach the regularizers and wrap the optimizer."""
        if not pl_module.automatic_optimization or len(trainer.optimizers) != 1:
            raise ConfigError("Regularize", "needs automatic optimization with one optimizer", "leave the callback out")
        if sum(isinstance(callback, Regularize) for callback in trainer.callbacks) > 1:  # type: ignore[attr-defined]
            raise ConfigError("Regularize", "is in callbacks twice", "pass all regularizers to one callback")
        check_strategy(trainer.strategy)
        draws = DistributedDraws(trainer.global_rank, pl_module.device) if trainer.world_size > 1 else None
        try:
            self._model = pl_module.get_submodule(self._module_name)
        except AttributeError:
            module_names = dict(pl_module.named_modules())
            hint = did_you_mean(self._module_name, module_names) or "; leave it out for the whole module"
            raise ConfigError(Setting("module", self._module_name), f"no such module{hint}") from None
        self._optimizer = trainer.optimizers[0]
        self._called = False  # whether the model itself was called in training mode
        self._needing_model_call: list[Regularizer] = []  # with hooks on the model itself
        self._modes = [(module, module.training) for module in self._model.modules()]
        owned = self._owned()
        if changed := set_training(self._model, owned):
            names = ", ".join(name or "the module" for name in changed[:3])
            rank_zero_warn(f"Regularize: {names} is in eval mode and is set to training mode for fit")
        self._attach(pl_module, draws)
        self._penalties = [
            WeightPenalty(r, self._model, self._owned) for r in self.regularizers if overrides(r, "loss")
        ]
        self._monitor = Monitor(self.regularizers, self._model, self._owned)
        self._dispatch = Dispatch(self.regularizers, self._model)
        optimizer = self._dispatch.wrapped(self._optimizer)
        if draws is not None:
            draws.wrap_updates(self.regularizers, optimizer)
        trainer.strategy.optimizers = [optimizer]
        self._attempts = _ATTEMPTS  # batches that may still be measured; 0 after a measurement
        self._unmeasured: list[str] = []  # caveat of the latest batch if it could not be measured

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the first step, which a checkpoint sets."""
        self._last_step = trainer.global_step

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        """Measure the effect of each regularizer on the first measurable batch."""
        if self._attempts:
            self._measure(trainer, pl_module, batch, index)
        self._monitor.start_batch()  # calls by validation and by the measurement do not count

    def _measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        """Measure the effects on a batch and warn of caveats; start the monitor after the first batch."""
        first = self._attempts == _ATTEMPTS
        self._attempts -= 1
        step = self._measured_step(trainer, pl_module, batch, index)
        for caveat in [*self._effects(step, batch), *(() if self._attempts else _noise_caveats(step))]:
            rank_zero_warn(f"Regularize: {one_line(caveat)}")
        if first:
            self._monitor.start(pl_module)

    def _effects(self, step: MeasuredStep, batch: Any) -> list[str]:
        """Return caveats; set `_attempts` to 0 unless the next batch may be measurable."""
        attempts_left, self._attempts = self._attempts, 0
        self._unmeasured = []
        try:
            return check_effects(step)
        except NoEffectError as error:
            self._check_called()
            if not tensors_with_graph(batch):
                raise
            return [f"{error} (measured on a batch without its autograd graph)"]
        except ConfigError:
            raise
        except UnmeasurableError as error:
            if not (attempts_left and error.this_batch):
                return [unmeasured_caveat(error)]
            self._attempts, self._unmeasured = attempts_left, [unmeasured_caveat(error)]
            return []
        except Exception as error:  # training raises the exception again
            return [unmeasured_caveat(f"{type(error).__name__}: {error}")]

    def _measured_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int
    ) -> MeasuredStep:
        """Return the step on a batch, as Lightning would take it with the penalties."""

        def add_penalties() -> None:
            for penalty in self._penalties:
                penalty.backward()

        groups = [[p for p in group["params"] if p.requires_grad] for group in self._optimizer.param_groups]
        return MeasuredStep(
            self._model,
            self.regularizers,
            groups,
            [pl_module, *self.regularizers],
            training_step_loss(trainer, pl_module, batch, index),
            add_penalties,
        )

    def _attach(self, pl_module: pl.LightningModule, draws: DistributedDraws | None) -> None:
        """Attach the regularizers in order, and load their state from a checkpoint."""
        weights_before = (
            [parameter.detach().clone() for parameter in self._model.parameters()] if self._checkpoint_state else []
        )
        foreign_keys = {hook.key for hook in hooks_of(pl_module)}
        self._model.register_forward_hook(self._record_call)
        for regularizer in self.regularizers:
            regularizer.to(pl_module.device)
            own_hooks_before = _count_own_hooks(self._model)
            keys_before = {hook.key for hook in hooks_of(pl_module)}
            if not attach(regularizer, self._model):
                raise unsupported_as_callback(regularizer, "has nothing to act on", regularizer.requirement)
            if _count_own_hooks(self._model) > own_hooks_before:
                self._needing_model_call.append(regularizer)
            if draws is not None:
                for hook in hooks_of(pl_module):
                    if hook.key not in keys_before:
                        hook.hooks[hook.key] = draws.wrap_hook(regularizer, hook.hooks[hook.key])
        self._hooks = [hook for hook in hooks_of(pl_module) if hook.key not in foreign_keys]
        if self._checkpoint_state:  # a checkpoint's weights already contain the changes of attaching
            with torch.no_grad():
                for parameter, weight in zip(self._model.parameters(), weights_before, strict=True):
                    parameter.copy_(weight)
            for name, buffer in self._state().items():
                buffer.copy_(self._checkpoint_state.get(name, buffer))
            self._checkpoint_state = {}

    def _state(self) -> dict[str, Tensor]:
        """Return the buffers of the regularizers other than strengths, by name."""
        return {
            f"{regularizer.name}.{name}": buffer
            for regularizer in self.regularizers
            for name, buffer in regularizer.named_buffers()
            if name not in regularizer.strengths()
        }

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the state to a checkpoint, where `load_state_dict` reads it.

        Trainer raises an error for two callbacks with a `state_dict`, before `on_fit_start` can name the remedy.
        """
        if state := {name: buffer.clone() for name, buffer in self._state().items()}:
            checkpoint.setdefault("callbacks", {})[self.state_key] = state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until the regularizers are attached: Lightning calls this before `on_fit_start`."""
        self._checkpoint_state = dict(state_dict)

    def _owned(self) -> set[int]:
        """Return the identities of the optimizer's parameters, including groups added during training."""
        return {id(parameter) for group in self._optimizer.param_groups for parameter in group["params"]}

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Add the gradients of penalties: once a step, after all its batches and before gradient clipping."""
        for penalty in self._penalties:
            penalty.backward()
        self._rates = effective_rates(optimizer)  # at the end of the batch the scheduler has changed them

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Monitor the batch, and apply regularizers that act after a step if the batch ended one."""
        where = f"batch {index} of epoch {trainer.current_epoch}"
        self._monitor.check_training_batch(where, has_loss=bool(outputs))
        if index == 0:
            self._monitor.check_weights(where)
        if outputs:  # training_step did not skip the batch
            self._check_called()
        if trainer.global_step != self._last_step:
            self._last_step = trainer.global_step
            self._dispatch.after_step(self._rates)

    def on_validation_batch_start(self, *_: Any) -> None:
        """Monitor each batch of validation separately."""
        self._monitor.start_batch()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int, *_: Any
    ) -> None:
        """Warn once of each regularizer that acts in validation."""
        self._monitor.check_validation_batch(f"validation batch {index} of epoch {trainer.current_epoch}")

    def _check_called(self) -> None:
        """Raise an error if a regularizer has hooks on the model itself, and the model was not called."""
        if self._needing_model_call and not self._called:
            reason = "acts on calls of the module, and training_step calls only submodules of it"
            raise unsupported_as_callback(self._needing_model_call[0], reason, "name the submodule, as in module='net'")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the module, and warn if no batch was measured; the optimizer stays wrapped for checkpoints."""
        for caveat in self._unmeasured:
            rank_zero_warn(f"Regularize: {caveat}")
        self._restore_module()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the module after an exception."""
        self._restore_module()

    def _restore_module(self) -> None:
        for _, hooks, key in self._hooks:
            hooks.pop(key, None)
        self._hooks = []
        self._monitor.stop()
        for module, mode in self._modes:
            module.training = mode
        self._modes = []

    def _record_call(self, model: nn.Module, inputs: Any, output: Any) -> None:
        self._called |= model.training


def _noise_caveats(step: MeasuredStep) -> list[str]:
    """Return a caveat about modules with random outputs in eval mode, if there are any."""
    try:
        noisy = noisy_parts(step)
    except Exception:  # check_effects has reported the reason, or the step needs gradients
        return []
    if not noisy:
        return []
    return [
        f"{', '.join(name or 'the module' for name in noisy)} has random outputs in eval mode; draw in training mode "
        "only, as F.dropout(x, p, training=self.training) does"
    ]


def _validated(regularizers: Any) -> list[Regularizer]:
    """Return the regularizers as a list.

    Raises:
        ConfigError: an argument that is not a list of regularizers.
    """
    example = "Regularize([L1(strength=1e-4)])"
    if isinstance(regularizers, Regularizer):
        raise ConfigError(Setting("regularizers", regularizers.name), "must be in a list", f"write {example}")
    if isinstance(regularizers, str) or not isinstance(regularizers, Iterable):
        raise ConfigError(Setting("regularizers", regularizers), "must be a list of regularizers", f"write {example}")
    items = list(regularizers)
    for item in items:
        if not isinstance(item, Regularizer):
            name = f"the class {item.__name__}" if isinstance(item, type) else repr(item)
            raise ConfigError("regularizers", f"{name} is not an instance of a regularizer", f"write {example}")
    return items


def _check_conflicts(regularizers: list[Regularizer]) -> None:
    """Raise an error for regularizers that are given twice or conflict with each other."""
    names = [regularizer.name for regularizer in regularizers]
    for regularizer in regularizers:
        if names.count(regularizer.name) > 1:
            raise ConfigError(Setting("regularizer", regularizer.name), "given twice", "leave one out")
        for other, why in regularizer.conflicts.items():
            if other in names:
                raise conflict_error(regularizer.name, other, why)


def _count_own_hooks(model: nn.Module) -> int:
    """Return the number of hooks of a model itself, without those of its submodules."""
    return sum(len(hooks) for hooks in forward_hooks(model))
