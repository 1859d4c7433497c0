"""The effect guard: one training step with a regularizer and one without must differ, or it is refused.

An attached method may have no effect: a forward pass may never call the layers with its hooks, may call them in eval
mode, or may discard their outputs. So before training the same step is taken with and without each method, from the
same weights and random numbers. All state is restored afterwards.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from reglab.regularizers._dispatch import Dispatch, effective_rates, overrides
from reglab.regularizers._hooks import is_compiled
from reglab.regularizers.base import Regularizer
from reglab.schema.errors import ConfigError
from reglab.seeding import seeded
from reglab.training.fit import Fit
from reglab.training.modes import parts_in_eval
from reglab.training.notes import is_off
from reglab.training.repeatable import ROUNDING, UNSEEDED, distance, evaluation_differs, prints
from reglab.training.snapshot import Snapshot

RATE = 0.1  # of the optimizer of measured steps: what acts by a share of the rate shows in single precision
TRIES = 3  # random numbers with which a method may show an effect at its probe strengths

_STEP_HOOKS = ("transform_batch", "loss", "before_step", "after_step", "wrap_optimizer")


@dataclass(frozen=True)
class MeasuredStep:
    """A training step that can be taken with and without a regularizer.

    Attributes:
        model: what the regularizers are attached to, in the modes of training.
        regularizers: in the order in which they act.
        groups: of parameters, as an optimizer has them.
        state: modules whose state a step may change; it is restored.
        loss: of the batch, a scalar, through the regularizers' hooks.
        after_backward: adds gradients that do not come through the loss.
        precision: context of a forward pass by itself.
    """

    model: nn.Module
    regularizers: Sequence[Any]
    groups: Sequence[Iterable[nn.Parameter]]
    state: Sequence[nn.Module]
    loss: Callable[[], Tensor]
    after_backward: Callable[[], None] = lambda: None
    precision: Callable[[], AbstractContextManager[Any]] = nullcontext


def step_of(fit: Fit, batch: tuple[Tensor, Tensor], rows: int = 8) -> MeasuredStep:
    """Return the first step of a `Fit` on the first rows of a batch (inputs, targets), on the device of the model."""
    device = next(fit.model.parameters()).device
    inputs, targets = (part[:rows].to(device) for part in batch)
    trained = [parameter for parameter in fit.model.parameters() if parameter.requires_grad]

    def loss() -> Tensor:
        return fit.losses((inputs.clone(), targets.clone()))[0]  # what is changed in place is a copy

    return MeasuredStep(fit.model, list(fit.regularizers), [trained], [fit], loss)


def check_effects(step: MeasuredStep) -> list[str]:
    """Refuse each regularizer with which the loss, gradients and weights of a step equal those without it.

    "Without" is at the off values of its strengths, which is bit for bit no regularizer; a regularizer without off
    values is disabled. The step is measured at the strengths of the run and, if nothing differs, at
    `Strength.probe`, so that a bound that is not reached is accepted. Not measured are regularizers that are off,
    and those that act through callbacks. The state of the modules and the global generators are restored.

    Returns:
        Remarks: a part that no method reaches.

    Raises:
        NoEffectError: names the method, the reason and a remedy.
        UnmeasurableError: the steps do not show whether there is an effect.
    """
    measured = [r for r in step.regularizers if not is_off(r) and not overrides(r, "callbacks")]
    if not measured:
        return []
    with Snapshot(step.state) as snapshot, torch.enable_grad():
        guard = _Guard(step, snapshot)
        for regularizer in measured:
            if not guard.acts(regularizer):
                raise NoEffectError(guard.refusal(regularizer))
        return guard.remarks(measured)


class NoEffectError(ConfigError):
    """A regularizer has no effect."""


class UnmeasurableError(Exception):
    """The measured steps do not show whether a regularizer has an effect.

    Args:
        reason: why.
        this_batch: whether the next batch may show it.
    """

    def __init__(self, reason: str, *, this_batch: bool = False) -> None:
        super().__init__(reason)
        self.this_batch = this_batch


def unmeasured(reason: object) -> str:
    """Return the warning for an effect that could not be measured."""
    return f"the effect of regularizers was not measured: {reason}"


class _Try(NamedTuple):
    """Compute a loss or a whole step, at the present weights or perturbed ones, from the random numbers of a seed."""

    whole: bool
    elsewhere: bool = False
    seed: int = 0


def noisy_parts(step: MeasuredStep) -> list[str]:
    """Return the names of the outermost parts that a step calls and whose outputs in eval mode are random.

    Only the model itself if it is called, otherwise its children.
    """
    calls: dict[str, tuple[nn.Module, Any, Any]] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda part, inputs, options: calls.setdefault(name, (part, inputs, options)) and None

    parts = [("", step.model), *step.model.named_children()]
    handles = [part.register_forward_pre_hook(keep(name), with_kwargs=True) for name, part in parts]
    try:
        with Snapshot(step.state), seeded(0, "guard"), torch.no_grad():
            step.loss()
    finally:
        for handle in handles:
            handle.remove()
    called = {"": calls[""]} if "" in calls else calls

    def differs(part: nn.Module, inputs: Any, options: Any) -> bool:
        try:
            with step.precision():
                return evaluation_differs(part, lambda: part(*copy.deepcopy(inputs), **copy.deepcopy(options)))
        except Exception:  # it is none that can be called like that in eval mode: its own evaluation will show
            return False

    return [name for name, call in called.items() if differs(*call)]


class _Guard:
    def __init__(self, step: MeasuredStep, snapshot: "Snapshot") -> None:
        self._step = step
        self._snapshot = snapshot
        self._faint: list[str] = []
        self._compiled = is_compiled(step.model)

    def acts(self, regularizer: Regularizer) -> bool:
        """Whether something differs: the loss is compared first, as it is cheapest; the probes are tried last."""
        probes = _probes(regularizer)
        if any(self._differs(regularizer, {}, _Try(whole)) for whole in (False, True)):
            return True
        unbounded = [
            s for s, declared in regularizer.strengths().items() if declared.maximum == math.inf and s in probes
        ]
        has_probe = any(declared.probe is not None for declared in regularizer.strengths().values())
        if unbounded and not has_probe and not self._differs(regularizer, {}, _Try(True, elsewhere=True)):
            values = ", ".join(f"{s}={float(regularizer.get_buffer(s)):g}" for s in unbounded)
            self._faint.append(
                f"{regularizer.name}: a step with {values} equals one without it, for its effect is smaller than the "
                "rounding; raise it, or leave the method out"
            )
        # Elsewhere shows what is nothing at the initial weights, as the distance from them.
        tries = [_Try(True, elsewhere, seed) for elsewhere in (False, True) for seed in range(TRIES)]
        return any(self._differs(regularizer, probes, attempt) for attempt in tries)

    def _differs(self, regularizer: Regularizer, strengths: Mapping[str, float], attempt: "_Try") -> bool:
        on = self._taken(lambda: _at(regularizer, strengths), attempt)
        off = self._taken(lambda: self._without(regularizer), attempt)
        if not off[0].isfinite().all():
            raise UnmeasurableError("the loss of the batch is not finite", this_batch=True)
        difference = distance(on, off)
        if difference == 0:
            return False
        rounding = distance(self._taken(lambda: self._without(regularizer), attempt), off)
        if rounding > UNSEEDED:
            raise UnmeasurableError(
                "two training steps with the same random numbers differ, so the model uses an unseeded generator "
                "(np.random.default_rng() without a seed is one)"
            )
        return difference > ROUNDING * rounding

    def _taken(self, changed: Callable[[], AbstractContextManager[None]], attempt: "_Try") -> Tensor:
        """Return a fingerprint of the loss and, after a whole step, of gradients and weights."""
        self._snapshot.restore()
        if attempt.elsewhere:
            with seeded(attempt.seed, "elsewhere"), torch.no_grad():
                for parameter in (p for group in self._step.groups for p in group):
                    parameter.add_(torch.randn_like(parameter), alpha=0.01)
        with changed(), seeded(attempt.seed, "guard"):
            return self._whole_step() if attempt.whole else prints([self._step.loss().detach()])

    def _whole_step(self) -> Tensor:
        step = self._step
        plain = torch.optim.SGD([{"params": list(group)} for group in step.groups], lr=RATE, foreach=False)
        dispatch = Dispatch(step.regularizers, step.model)
        optimizer = dispatch.wrapped(plain)
        losses: list[Tensor] = []

        def closure() -> Any:
            optimizer.zero_grad()
            loss = step.loss()
            loss.backward()
            step.after_backward()
            losses.append(loss.detach())
            return loss

        optimizer.step(closure)
        dispatch.after_step(effective_rates(optimizer))
        parameters = [parameter for group in plain.param_groups for parameter in group["params"]]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        return prints([*losses, *gradients, *parameters])

    def _without(self, regularizer: Regularizer) -> AbstractContextManager[None]:
        off = {name: declared.off for name, declared in regularizer.strengths().items() if declared.off is not None}
        return _at(regularizer, off) if off else _muted(regularizer)

    def refusal(self, regularizer: Regularizer) -> str:
        """One line for a method without effect."""
        reason, remedy = self._reason(regularizer)
        if not type(regularizer).__module__.startswith("reglab."):
            remedy += "; if it acts only under a condition, declare a value that meets it as `probe` of its strength"
        return (
            f"regularizer={regularizer.name}: no effect on the first batch (loss, gradients and weights equal those "
            f"without it): {reason}; {remedy}"
        )

    def _reason(self, regularizer: Regularizer) -> tuple[str, str]:
        leave = "or leave it out"
        if regularizer.hooks:
            called = self._calls([regularizer])
            places = _some(hook.place for hook in regularizer.hooks)
            if not called:
                return f"forward never calls {places}, which it is attached to", f"call them as modules, {leave}"
            if not any(called.values()):
                inside = [name for name, _ in parts_in_eval(self._step.model)]
                where = f", as {_some(inside)} is" if inside else ""
                return f"forward runs {_some(called)} in eval mode{where}", f"call train() on what is to train, {leave}"
            return f"what it changes at {_some(called)} does not reach the loss", f"use what they return, {leave}"
        if not any(overrides(regularizer, hook) for hook in _STEP_HOOKS):
            return "its class overrides no hook that acts in a step, and attaching it adds none", "override one"
        owned = {id(p) for group in self._step.groups for p in group}
        weights = regularizer.weights(self._step.model)
        if not any(id(weight) in owned for weight in weights.values()):
            return "none of the weights it acts on are trained", f"train some, {leave}"
        return "a step at its off value is the same", "leave it out"

    def _calls(self, regularizers: Iterable[Regularizer]) -> dict[str, bool]:
        """Modules with hooks that are called, and whether any call is in training mode."""
        called: dict[str, bool] = {}
        self._snapshot.restore()
        with _each_hook(regularizers, lambda hook, act: _counted(hook.place, act, called)), seeded(0, "guard"):
            self._step.loss()
        return called

    def remarks(self, regularizers: Sequence[Regularizer]) -> list[str]:
        """Return sentences on methods lost in rounding, and on those some of whose places are never called in training
        mode."""
        hooked = [regularizer for regularizer in regularizers if regularizer.hooks]
        if not hooked or self._compiled:  # of what was compiled with hooks, others would not be called
            return self._faint
        called = self._calls(hooked)
        sentences = self._faint
        for regularizer in hooked:
            places = list(dict.fromkeys(hook.place for hook in regularizer.hooks))
            idle = [place for place in places if not called.get(place)]
            if idle and len(idle) < len(places):
                sentences.append(
                    f"{regularizer.name}: no effect at {len(idle)} of the {len(places)} modules it is attached to, "
                    f"which forward does not call in training mode ({_some(idle)})"
                )
        return sentences


def _some(places: Iterable[str]) -> str:
    names = [place or "the whole model" for place in dict.fromkeys(places)]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _probes(regularizer: Regularizer) -> dict[str, float]:
    """Strengths at which the method has to show, of those that are on."""
    found = {}
    for name, declared in regularizer.strengths().items():
        value, low, high = float(regularizer.get_buffer(name)), declared.minimum, declared.maximum
        if declared.probe is not None:
            found[name] = declared.probe
        elif declared.off is None or value == declared.off:
            continue
        elif high == math.inf:
            found[name] = max(value, low + 1.0) if declared.off == low else min(value, low + 1e-3)
        else:
            found[name] = (low + high) / 2
    return found


@contextmanager
def _at(regularizer: Regularizer, strengths: Mapping[str, float]) -> Iterator[None]:
    before = {name: float(regularizer.get_buffer(name)) for name in strengths}
    try:
        for name, value in strengths.items():
            regularizer.get_buffer(name).fill_(value)
        yield
    finally:
        for name, value in before.items():
            regularizer.get_buffer(name).fill_(value)


@contextmanager
def _muted(regularizer: Regularizer) -> Iterator[None]:
    """The method does nothing: its hooks on the model pass, and its own are those of the base class."""
    own = vars(regularizer)
    quiet = {hook: getattr(Regularizer, hook).__get__(regularizer) for hook in _STEP_HOOKS}
    try:
        own.update(quiet)
        with _each_hook([regularizer], lambda hook, act: lambda *inputs, **options: None):
            torch.compiler.reset()  # compiled modules and functions do not look at hooks again
            yield
    finally:
        for hook in quiet:
            own.pop(hook, None)
        torch.compiler.reset()


@contextmanager
def _each_hook(regularizers: Iterable[Regularizer], replaced: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Replace the methods' hooks on the model by other functions, in the same order."""
    hooks = [hook for regularizer in regularizers for hook in regularizer.hooks if hook.key in hook.hooks]
    before = [hook.hooks[hook.key] for hook in hooks]
    try:
        for hook, act in zip(hooks, before, strict=True):
            hook.hooks[hook.key] = replaced(hook, act)
        yield
    finally:
        for hook, act in zip(hooks, before, strict=True):
            hook.hooks[hook.key] = act


def _counted(place: str, act: Callable[..., Any], called: dict[str, bool]) -> Callable[..., Any]:
    def counting(module: nn.Module, *inputs: Any, **options: Any) -> Any:
        called[place] = called.get(place, False) or module.training
        return act(module, *inputs, **options)

    return counting
