"""Regularizers on any LightningModule, as one callback."""

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from reglab.compat import lightning
from reglab.compat.torch import forward_hooks
from reglab.regularizers._dispatch import Dispatch, effective_rates, overrides
from reglab.regularizers._hooks import attach, is_compiled
from reglab.regularizers._order import in_order
from reglab.regularizers.base import Regularizer, penalized
from reglab.schema.compatibility import in_conflict
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean
from reglab.schema.text import one_line
from reglab.training.guard import (
    MeasuredStep,
    NoEffectError,
    UnmeasurableError,
    check_effects,
    noisy_parts,
    unmeasured,
)
from reglab.training.measured_batch import loss_of, with_graph
from reglab.training.modes import set_training
from reglab.training.penalty import Penalty, refusal
from reglab.training.ranks import Ranks, check_strategy

_ATTEMPTS = 10  # batches at most on which the effects are measured


class Regularize(pl.Callback):
    """Apply regularizers to the training of any LightningModule, whose code stays unchanged.

    ``Trainer(callbacks=[Regularize([Dropout(p=0.5), L1(strength=1e-4)])])``. What acts on layers, on weights and around
    the optimizer works as in reglab's own runs, once a step, with accumulated gradients and with clipping. What has to
    change the batch, or to see outputs and labels, is refused: a callback has neither.

    Args:
        regularizers: their order does not matter, they act in their own.
        module: name of the submodule that they act on (``"net"``); empty: the whole module.

    The modules that they act on are set to training mode with a warning, as by `reglab.training.modes.set_training`,
    and set back at the end. Before the first step the effect of each regularizer is measured on the first batch, by
    ``training_step`` without logging; one without effect is refused, see `reglab.training.guard`. If the batch has no
    loss, or one that is not finite, the next one is measured, up to ten batches in all. A step that cannot be measured
    (it fails, takes ``dataloader_iter``, or its batch cannot be copied) is trained with a warning. Another warning
    names a regularizer whose layers run in eval mode, are not called or are replaced in a later step, or run in
    training mode in validation, and weights that are replaced and that no group of the optimizer has.

    Where gradients of several batches are accumulated, Lightning divides each loss by ``accumulate_grad_batches``, in
    the last, shorter window of an epoch too; penalties act in full in every step. A step that a GradScaler skips is
    none.
    Under several ranks (``strategy="ddp"``) noise on weights and gradients is the same on all, and noise on activations
    differs by rank; `attention_dropout` draws as the model's attention does. Strategies that split weights are refused,
    and so are manual optimization and several optimizers.

    Their hooks are taken off the module when training is over. Checkpoints hold what they know of it, so that a resumed
    training goes on as it would have. Weights that the optimizer was not given are left alone.

    Raises:
        ConfigError: from the constructor or in the first step: one cannot work here, conflicts with another, found
            nothing to act on, or has no effect.
    """

    def __init__(self, regularizers: Iterable[Regularizer], module: str = "") -> None:
        self.regularizers = in_order(_checked(regularizers))
        if not isinstance(module, str):
            raise ConfigError(
                Setting("module", module),
                "must be the name of one submodule (module='net')",
                "leave it out for the whole module",
            )
        self._name = module
        self._remembered: dict[str, Tensor] = {}  # from a checkpoint, until they are attached
        self._hooks: _Hooks = []
        self._modes: list[tuple[nn.Module, bool]] = []  # in which fit found the model's parts
        self._watches: list[RemovableHandle] = []  # handles of the hooks of `_watch`
        self._watched: dict[str, nn.Module] = {}  # modules with hooks, by name
        self._left_out: dict[int, Tensor] = {}  # weights that the optimizer does not have, by identity
        for regularizer in self.regularizers:
            if overrides(regularizer, "transform_batch"):
                raise ConfigError(refusal(regularizer, "has to change the batch"))
            if regularizer.monitors_validation:
                raise ConfigError(refusal(regularizer, "watches validation: take Lightning's own callback"))
            if overrides(regularizer, "callbacks"):
                raise ConfigError(refusal(regularizer, "is a callback itself: give Trainer its callbacks()"))
        _check_together(self.regularizers)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attaches the regularizers and wraps the optimizer."""
        if not pl_module.automatic_optimization or len(trainer.optimizers) != 1:
            raise ConfigError("Regularize", "needs automatic optimization with one optimizer", "leave the callback out")
        if sum(isinstance(callback, Regularize) for callback in trainer.callbacks) > 1:  # type: ignore[attr-defined]
            raise ConfigError("Regularize", "callbacks has it twice", "give all regularizers to one, for one module")
        check_strategy(trainer.strategy)
        ranks = Ranks(trainer.global_rank, pl_module.device) if trainer.world_size > 1 else None
        try:
            self._model = pl_module.get_submodule(self._name)
        except AttributeError:
            hint = did_you_mean(self._name, dict(pl_module.named_modules())) or "; leave it out for the whole module"
            raise ConfigError(Setting("module", self._name), f"no such module{hint}") from None
        self._plain = trainer.optimizers[0]
        self._called = False
        self._waiting: list[Regularizer] = []  # for a call of the model itself
        self._modes = [(module, module.training) for module in self._model.modules()]
        owned = self._owned()
        if woken := set_training(self._model, owned):
            names = ", ".join(name or "the module" for name in woken[:3])
            rank_zero_warn(f"Regularize: {names} came in eval mode and is set to training mode for fit")
        self._attach(pl_module, ranks)
        self._penalties = [Penalty(r, self._model, self._owned) for r in self.regularizers if overrides(r, "loss")]
        self._left_out = {id(w): w for w in penalized(self._model, frozen=True).values() if id(w) not in owned}
        self._dispatch = Dispatch(self.regularizers, self._model)
        optimizer = self._dispatch.wrapped(self._plain)
        if ranks is not None:
            ranks.optimizer(self.regularizers, optimizer)
        trainer.strategy.optimizers = [optimizer]
        self._attempts = _ATTEMPTS
        self._unmeasured: list[str] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the step that training starts from: a checkpoint's is known only now."""
        self._seen = trainer.global_step

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        """Measure on the first batch that can show it that each regularizer has an effect."""
        if self._attempts:
            self._measure(trainer, pl_module, batch, index)
        if self._watches:
            self._ran.clear()  # of evaluation, and of the measurement

    def _measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        first = self._attempts == _ATTEMPTS
        self._attempts -= 1
        step = self._first_step(trainer, pl_module, batch, index)
        for remark in [*self._effects(step, batch), *(() if self._attempts else _noise(step))]:
            rank_zero_warn(f"Regularize: {one_line(remark)}")
        if first:
            self._watch(pl_module)

    def _effects(self, step: MeasuredStep, batch: Any) -> list[str]:
        """Return remarks; set `_attempts` to 0 unless the next batch may show more."""
        left, self._attempts = self._attempts, 0
        self._unmeasured = []
        try:
            return check_effects(step)
        except NoEffectError as error:
            self._check_called()
            if not with_graph(batch):
                raise
            return [f"{error} (measured without what made the tensors of the batch)"]
        except ConfigError:
            raise
        except UnmeasurableError as error:
            if not (left and error.this_batch):
                return [unmeasured(error)]
            self._attempts, self._unmeasured = left, [unmeasured(error)]
            return []
        except Exception as error:  # a step that fails does so again, in training
            return [unmeasured(f"{type(error).__name__}: {error}")]

    def _first_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> MeasuredStep:
        def add_penalties() -> None:
            for penalty in self._penalties:
                penalty.backward()

        groups = [[p for p in group["params"] if p.requires_grad] for group in self._plain.param_groups]
        return MeasuredStep(
            self._model,
            self.regularizers,
            groups,
            [pl_module, *self.regularizers],
            loss_of(trainer, pl_module, batch, index),
            add_penalties,
        )

    def _attach(self, pl_module: pl.LightningModule, ranks: Ranks | None) -> None:
        before = [parameter.detach().clone() for parameter in self._model.parameters()] if self._remembered else []
        known = {key for _, key in _hooks_of(pl_module)}
        self._model.register_forward_hook(self._note_call)
        for regularizer in self.regularizers:
            regularizer.to(pl_module.device)
            own = len(_hooks_of(self._model, itself=True))
            before_it = {key for _, key in _hooks_of(pl_module)}
            if not attach(regularizer, self._model):
                raise ConfigError(refusal(regularizer, f"found nothing to act on; {regularizer.requirement}"))
            if len(_hooks_of(self._model, itself=True)) > own:
                self._waiting.append(regularizer)
            if ranks is not None:
                for hooks, key in _hooks_of(pl_module):
                    if key not in before_it:
                        hooks[key] = ranks.hook(regularizer, hooks[key])
        self._hooks = [(hooks, key) for hooks, key in _hooks_of(pl_module) if key not in known]
        if self._remembered:  # and a checkpoint's weights are already what attaching made of the first ones
            with torch.no_grad():
                for parameter, weight in zip(self._model.parameters(), before, strict=True):
                    parameter.copy_(weight)
            for name, buffer in self._memory().items():
                buffer.copy_(self._remembered.get(name, buffer))
            self._remembered = {}

    def _memory(self) -> dict[str, Tensor]:
        """What the regularizers hold besides their strengths."""
        return {
            f"{regularizer.name}.{name}": buffer
            for regularizer in self.regularizers
            for name, buffer in regularizer.named_buffers()
            if name not in regularizer.strengths()
        }

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Where `load_state_dict` finds it; of two callbacks with a `state_dict` Trainer itself complains."""
        if state := {name: buffer.clone() for name, buffer in self._memory().items()}:
            checkpoint.setdefault("callbacks", {})[self.state_key] = state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Lightning calls it before the regularizers are attached."""
        self._remembered = dict(state_dict)

    def _owned(self) -> set[int]:
        """Identities of the optimizer's parameters, those of groups that were added in training included."""
        return {id(parameter) for group in self._plain.param_groups for parameter in group["params"]}

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Adds the gradients of penalties: once a step, after all its batches and before they are clipped."""
        for penalty in self._penalties:
            penalty.backward()
        self._rates = effective_rates(optimizer)  # when the batch has ended, the schedule has moved it

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """What comes after the optimizer, where the batch ended a step."""
        place = f"batch {index} of epoch {trainer.current_epoch}"
        if self._watches:
            self._check_modes(place)
            if outputs:
                self._check_calls(place)
        if index == 0:
            self._check_weights(place)
        if outputs:  # not where training_step skips the batch
            self._check_called()
        if trainer.global_step != self._seen:
            self._seen = trainer.global_step
            self._dispatch.after_step(self._rates)

    def _watch(self, pl_module: pl.LightningModule) -> None:
        """Record the mode in which modules with hooks run: eval() may be called after the measurement."""
        self._ran: dict[str, bool] = {}
        self._asleep: set[str] = set()  # names of regularizers for which a warning was given
        self._awake: set[str] = set()  # and those that act in evaluation
        if is_compiled(pl_module) or lightning.is_compiled(pl_module):  # hooks would be compiled with it
            return

        def note(place: str) -> Callable[[nn.Module, Any], None]:
            return lambda part, inputs: self._ran.update({place: part.training or self._ran.get(place, False)})

        for place in dict.fromkeys(hook.place for r in self.regularizers for hook in r.hooks):
            part = self._model.get_submodule(place)
            if part.training:
                self._watches.append(part.register_forward_pre_hook(note(place)))
                self._watched[place] = part

    def on_validation_batch_start(self, *_: Any) -> None:
        """Watch a batch of evaluation by itself."""
        if self._watches:
            self._ran.clear()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int, *_: Any
    ) -> None:
        """Warn once of regularizers that act in evaluation, as their modules run in training mode there."""
        for regularizer in self.regularizers if self._watches and any(self._ran.values()) else ():
            places = dict.fromkeys(hook.place for hook in regularizer.hooks if self._ran.get(hook.place))
            if places and regularizer.name not in self._awake:
                self._awake.add(regularizer.name)
                names = ", ".join(place or "the module" for place in list(places)[:3])
                rank_zero_warn(
                    f"Regularize: {regularizer.name}: acts in validation batch {index} of epoch "
                    f"{trainer.current_epoch}, which runs {names} in training mode; let train(mode) of the module set "
                    "the mode that it is given, and call train() in no step of validation"
                )

    def _check_modes(self, batch: str) -> None:
        for regularizer in self.regularizers if not all(self._ran.values()) else ():
            ran = {hook.place: self._ran[hook.place] for hook in regularizer.hooks if hook.place in self._ran}
            if ran and not any(ran.values()) and regularizer.name not in self._asleep:
                self._asleep.add(regularizer.name)
                names = ", ".join(name or "the module" for name in list(ran)[:3])
                rank_zero_warn(
                    f"Regularize: {regularizer.name}: no effect in {batch}, which runs {names} in eval mode; call "
                    "eval() neither in a hook of training nor in training_step"
                )

    def _check_calls(self, batch: str) -> None:
        """Warn of a regularizer none of whose modules was called in a batch, or one of whose modules was replaced."""
        for regularizer in self.regularizers if len(self._ran) < len(self._watched) else ():
            places = dict.fromkeys(hook.place for hook in regularizer.hooks if hook.place in self._watched)
            idle = [place for place in places if place not in self._ran]
            gone = [place for place in idle if self._now_at(place) is not self._watched[place]]
            if regularizer.name in self._asleep or not (gone or (idle and len(idle) == len(places))):
                continue
            self._asleep.add(regularizer.name)
            why = "were replaced after the start of fit" if gone else "were not called"
            names = ", ".join(place or "the module" for place in (gone or idle)[:3])
            rank_zero_warn(
                f"Regularize: {regularizer.name}: no effect on {names} in {batch}: modules that it acts on {why}; "
                "change a module (p of nn.Dropout, weights by copy_) instead of replacing it, and call it in each batch"
            )

    def _now_at(self, place: str) -> nn.Module | None:
        try:
            return self._model.get_submodule(place)
        except AttributeError:
            return None

    def _check_weights(self, batch: str) -> None:
        """Warn once of weights that were not there when fit began and that the optimizer does not have."""
        owned = self._owned() | self._left_out.keys()
        new = {name: weight for name, weight in penalized(self._model).items() if id(weight) not in owned}
        unhooked = [regularizer for regularizer in self.regularizers if not regularizer.hooks]
        acting = [r.name for r in unhooked if not new.keys().isdisjoint(r.weights(self._model))]
        if acting:
            self._left_out |= {id(weight): weight for weight in new.values()}
            rank_zero_warn(
                f"Regularize: {', '.join(acting)}: no effect on {', '.join(list(new)[:3])} in {batch}: the optimizer "
                "has not been given these weights, which came after the start of fit; copy_ into the weights that it "
                "has, or add them by optimizer.add_param_group"
            )

    def _check_called(self) -> None:
        if self._waiting and not self._called:
            why = (
                "acts on calls of the module, and training_step calls only parts of it; name the part, as module='net'"
            )
            raise ConfigError(refusal(self._waiting[0], why))

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the module, and warn if no batch was measured; the wrapped optimizer stays for checkpoints."""
        for remark in self._unmeasured:
            rank_zero_warn(f"Regularize: {remark}")
        self._leave()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """So it is where training failed."""
        self._leave()

    def _leave(self) -> None:
        for hooks, key in self._hooks:
            hooks.pop(key, None)
        self._hooks = []
        while self._watches:
            self._watches.pop().remove()
        self._watched, self._left_out = {}, {}
        for module, mode in self._modes:
            module.training = mode
        self._modes = []

    def _note_call(self, model: nn.Module, inputs: Any, output: Any) -> None:
        self._called |= model.training


def _noise(step: MeasuredStep) -> list[str]:
    try:
        noisy = noisy_parts(step)
    except Exception:  # check_effects has given the reason, or it needs gradients
        return []
    return [
        f"{', '.join(name or 'the module' for name in noisy)} gives random outputs in eval mode; draw in training mode "
        "only, as F.dropout(x, p, training=self.training) does"
    ][: len(noisy)]


def _checked(regularizers: Any) -> list[Regularizer]:
    """The regularizers as a list; refuses everything else by name."""
    example = "Regularize([L1(strength=1e-4)])"
    if isinstance(regularizers, Regularizer):
        raise ConfigError(Setting("regularizers", regularizers.name), "must be in a list", f"write {example}")
    if isinstance(regularizers, str) or not isinstance(regularizers, Iterable):
        raise ConfigError(Setting("regularizers", regularizers), "must be a list of regularizers", f"write {example}")
    given = list(regularizers)
    for one in given:
        if not isinstance(one, Regularizer):
            what = f"the class {one.__name__}" if isinstance(one, type) else repr(one)
            raise ConfigError("regularizers", f"{what} is no regularizer with its strengths", f"write {example}")
    return given


def _check_together(regularizers: list[Regularizer]) -> None:
    names = [regularizer.name for regularizer in regularizers]
    for regularizer in regularizers:
        if names.count(regularizer.name) > 1:
            raise ConfigError(Setting("regularizer", regularizer.name), "given twice", "leave one out")
        for other, why in regularizer.conflicts.items():
            if other in names:
                raise in_conflict(regularizer.name, other, why)


_Hooks = list[tuple[dict[int, Any], int]]


def _hooks_of(model: nn.Module, *, itself: bool = False) -> _Hooks:
    """Every forward hook of the model itself, or of its parts too: the dictionary that holds it, and its key there."""
    found = []
    for part in [model] if itself else model.modules():
        for hooks in forward_hooks(part):
            found += [(hooks, key) for key in hooks]
    return found
