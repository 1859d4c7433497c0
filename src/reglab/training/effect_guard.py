"""Effect guard: raise an error for a regularizer without effect on a training step.

An attached regularizer may have no effect: a forward pass may never call the layers with its hooks, may call them in
eval mode, or may discard their outputs. Before training, the same step is therefore run with and without each
regularizer, from the same weights and random numbers. All state is restored afterwards.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from reglab.data.base import TensorData
from reglab.regularizers._dispatch import Dispatch, effective_rates, overrides
from reglab.regularizers._hooks import is_compiled
from reglab.regularizers.base import Regularizer
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import TOKENS, features_of
from reglab.seeding import seeded
from reglab.training.fit import Fit
from reglab.training.measured_step import MeasuredStep, UnmeasurableError, first_step
from reglab.training.repeatability import (
    ROUNDING,
    UNSEEDED,
    evaluation_differs,
    fingerprint,
    relative_difference,
)
from reglab.training.run_caveats import is_off
from reglab.training.snapshot import Snapshot
from reglab.training.train_eval_mode import parts_in_eval

RATE = 0.1  # learning rate of measured steps: effects proportional to it are visible in single precision
SEEDS = 3  # number of seeds with which a regularizer is measured at its probe strengths

_STEP_HOOKS = ("transform_batch", "loss", "before_step", "after_step", "wrap_optimizer")


def check_effects(step: MeasuredStep) -> list[str]:
    """Raise an error for a regularizer that changes neither the loss nor the gradients nor the weights of a step.

    The step without the regularizer has its strengths at their off values, which is bit for bit a plain step; a
    regularizer without off values is disabled. The step is measured at the strengths of the run and, if nothing
    differs, at `Strength.probe`, so that a bound that is not reached is accepted. Regularizers that are off and those
    that act through callbacks are not measured. The state of the modules and the global generators are restored.

    Returns:
        Caveats: effects below rounding, and modules on which a regularizer has no effect.

    Raises:
        NoEffectError: names the regularizer, the reason and a remedy.
        UnmeasurableError: the steps do not show whether there is an effect.
    """
    measured = [r for r in step.regularizers if not is_off(r) and not overrides(r, "callbacks")]
    if not measured:
        return []
    with Snapshot(step.state) as snapshot, torch.enable_grad():
        guard = _Guard(step, snapshot)
        for regularizer in measured:
            if not guard.acts(regularizer):
                raise guard.error(regularizer)
        return guard.caveats(measured)


def check_effects_on_data(fit: Fit, data: TensorData, max_flops: float = math.inf) -> list[str]:
    """Apply `check_effects` to the first step of a model, on rows of the first training batch.

    Args:
        fit: model with its regularizers, on the device of training.
        data: data set with training rows.
        max_flops: floating-point operations of a pass; a more expensive model is not measured.

    Returns:
        Caveats.

    Raises:
        NoEffectError: a regularizer has no effect.
    """
    batch = next(iter(data.train_dataloader()))
    positions = data.input_shape[0] if TOKENS in features_of(data.kind) else 1
    row_flops = 6.0 * positions * sum(parameter.numel() for parameter in fit.model.parameters())
    rows = max(2, min(8, int(1e10 / row_flops)))
    if rows * row_flops > max_flops:
        return []
    try:
        return check_effects(first_step(fit, batch, rows))
    except UnmeasurableError as error:
        return [unmeasured_caveat(error)]


class NoEffectError(ConfigError):
    """A regularizer has no effect."""


def unmeasured_caveat(reason: object) -> str:
    """Return the caveat about effects that could not be measured."""
    return f"the effect of regularizers was not measured: {reason}"


class _Measurement(NamedTuple):
    """Conditions of a measurement.

    Attributes:
        whole_step: measure a whole step, not only the loss.
        perturbed: perturb the weights before the step.
        seed: seed of the random numbers.
    """

    whole_step: bool
    perturbed: bool = False
    seed: int = 0


def noisy_parts(step: MeasuredStep) -> list[str]:
    """Return the names of the modules that a step calls and whose outputs in eval mode are random.

    Only the model itself is tested if it is called, otherwise its children.
    """
    calls: dict[str, tuple[nn.Module, Any, Any]] = {}

    def recorder(name: str) -> Callable[..., None]:
        def record(part: nn.Module, inputs: Any, options: Any) -> None:
            calls.setdefault(name, (part, inputs, options))

        return record

    parts = [("", step.model), *step.model.named_children()]
    handles = [part.register_forward_pre_hook(recorder(name), with_kwargs=True) for name, part in parts]
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
        except Exception:  # it cannot be called with these inputs in eval mode; validation reports errors
            return False

    return [name for name, call in called.items() if differs(*call)]


class _Guard:
    """Measurements of one training step."""

    def __init__(self, step: MeasuredStep, snapshot: Snapshot) -> None:
        self._step = step
        self._snapshot = snapshot
        self._below_rounding: list[str] = []
        self._compiled = is_compiled(step.model)

    def acts(self, regularizer: Regularizer) -> bool:
        """Return whether a step with the regularizer differs from one without it.

        The loss, which is the cheapest, is compared first, and the probe strengths last.
        """
        probes = _probes(regularizer)
        if any(self._differs(regularizer, {}, _Measurement(whole)) for whole in (False, True)):
            return True
        unbounded = [
            s for s, declared in regularizer.strengths().items() if declared.maximum == math.inf and s in probes
        ]
        has_probe = any(declared.probe is not None for declared in regularizer.strengths().values())
        if unbounded and not has_probe and not self._differs(regularizer, {}, _Measurement(True, perturbed=True)):
            values = ", ".join(f"{s}={float(regularizer.get_buffer(s)):g}" for s in unbounded)
            self._below_rounding.append(
                f"{regularizer.name}: a step with {values} equals one without it, because its effect is below the "
                "rounding error; raise it, or leave the regularizer out"
            )
        # Perturbed weights show effects that are 0 at the initial weights, such as a penalty on the distance from them.
        measurements = [_Measurement(True, perturbed, seed) for perturbed in (False, True) for seed in range(SEEDS)]
        return any(self._differs(regularizer, probes, measurement) for measurement in measurements)

    def _differs(self, regularizer: Regularizer, strengths: Mapping[str, float], measurement: _Measurement) -> bool:
        """Return whether a step with these strengths differs from one without the regularizer, beyond rounding."""
        on = self._measure(lambda: _with_strengths(regularizer, strengths), measurement)
        off = self._measure(lambda: self._without(regularizer), measurement)
        if not off[0].isfinite().all():  # row 0 is the loss
            raise UnmeasurableError("the loss of the batch is not finite", this_batch=True)
        difference = relative_difference(on, off)
        if difference == 0:
            return False
        rounding = relative_difference(self._measure(lambda: self._without(regularizer), measurement), off)
        if rounding > UNSEEDED:
            raise UnmeasurableError(
                "two training steps with the same random numbers differ, so the model uses an unseeded generator "
                "(np.random.default_rng() without a seed is one)"
            )
        return difference > ROUNDING * rounding

    def _measure(self, condition: Callable[[], AbstractContextManager[None]], measurement: _Measurement) -> Tensor:
        """Return a fingerprint of the loss and, after a whole step, of gradients and weights.

        Args:
            condition: returns a context with the regularizer on or off.
            measurement: see `_Measurement`.
        """
        self._snapshot.restore()
        if measurement.perturbed:
            with seeded(measurement.seed, "elsewhere"), torch.no_grad():
                for parameter in (p for group in self._step.groups for p in group):
                    parameter.add_(torch.randn_like(parameter), alpha=0.01)
        with condition(), seeded(measurement.seed, "guard"):
            return self._whole_step() if measurement.whole_step else fingerprint([self._step.loss().detach()])

    def _whole_step(self) -> Tensor:
        """Take a step of SGD; return a fingerprint of the losses of its passes, its gradients and the new weights."""
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
        return fingerprint([*losses, *gradients, *parameters])

    def _without(self, regularizer: Regularizer) -> AbstractContextManager[None]:
        """Return a context in which the regularizer has no effect."""
        off = {name: declared.off for name, declared in regularizer.strengths().items() if declared.off is not None}
        return _with_strengths(regularizer, off) if off else _disabled(regularizer)

    def error(self, regularizer: Regularizer) -> NoEffectError:
        """Return the error for a regularizer without effect."""
        reason, remedy = self._reason(regularizer)
        if not type(regularizer).__module__.startswith("reglab."):
            remedy += "; if it acts only under a condition, declare a value that meets it as `probe` of its strength"
        return NoEffectError(
            Setting("regularizer", regularizer.name),
            f"no effect on the first batch (loss, gradients and weights equal those without it): {reason}",
            remedy,
        )

    def _reason(self, regularizer: Regularizer) -> tuple[str, str]:
        """Return the reason why a regularizer has no effect, and a remedy."""
        alternative = "or leave it out"
        if regularizer.hooks:
            called = self._calls([regularizer])
            layers = _first_names(hook.layer for hook in regularizer.hooks)
            if not called:
                return f"forward never calls {layers}, which it is attached to", f"call them as modules, {alternative}"
            if not any(called.values()):
                inside = [name for name, _ in parts_in_eval(self._step.model)]
                where = f", as {_first_names(inside)} is" if inside else ""
                return (
                    f"forward runs {_first_names(called)} in eval mode{where}",
                    f"call train() on the modules to train, {alternative}",
                )
            return (
                f"its changes at {_first_names(called)} do not reach the loss",
                f"use the outputs of these modules, {alternative}",
            )
        if not any(overrides(regularizer, hook) for hook in _STEP_HOOKS):
            return "its class overrides no hook of a step, and attaching it adds none", "override one"
        owned = {id(p) for group in self._step.groups for p in group}
        weights = regularizer.weights(self._step.model)
        if not any(id(weight) in owned for weight in weights.values()):
            return "none of the weights it acts on are trained", f"train some, {alternative}"
        return "a step at its off value is the same", "leave it out"

    def _calls(self, regularizers: Iterable[Regularizer]) -> dict[str, bool]:
        """Return the called modules with hooks, each with whether any call is in training mode."""
        called: dict[str, bool] = {}
        self._snapshot.restore()
        with (
            _replaced_hooks(regularizers, lambda hook, original: _recording_hook(hook.layer, original, called)),
            seeded(0, "guard"),
        ):
            self._step.loss()
        return called

    def caveats(self, regularizers: Sequence[Regularizer]) -> list[str]:
        """Return caveats about effects below rounding, and about modules that are never called in training mode."""
        hooked = [regularizer for regularizer in regularizers if regularizer.hooks]
        if not hooked or self._compiled:  # compiled modules do not call hooks that are replaced later
            return self._below_rounding
        called = self._calls(hooked)
        caveats = self._below_rounding
        for regularizer in hooked:
            layers = list(dict.fromkeys(hook.layer for hook in regularizer.hooks))
            uncalled = [layer for layer in layers if not called.get(layer)]
            if uncalled and len(uncalled) < len(layers):
                caveats.append(
                    f"{regularizer.name}: no effect at {len(uncalled)} of the {len(layers)} modules it is attached to, "
                    f"which forward does not call in training mode ({_first_names(uncalled)})"
                )
        return caveats


def _first_names(layers: Iterable[str]) -> str:
    """Return the first three names of layers, and the number of the others."""
    names = [layer or "the whole model" for layer in dict.fromkeys(layers)]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _probes(regularizer: Regularizer) -> dict[str, float]:
    """Return values of the strengths that are on, at which an effect must be visible."""
    probes = {}
    for name, declared in regularizer.strengths().items():
        value, low, high = float(regularizer.get_buffer(name)), declared.minimum, declared.maximum
        if declared.probe is not None:
            probes[name] = declared.probe
        elif declared.off is None or value == declared.off:
            continue
        elif high == math.inf:
            probes[name] = max(value, low + 1.0) if declared.off == low else min(value, low + 1e-3)
        else:
            probes[name] = (low + high) / 2
    return probes


@contextmanager
def _with_strengths(regularizer: Regularizer, strengths: Mapping[str, float]) -> Iterator[None]:
    """Set strengths within the block."""
    original = {name: float(regularizer.get_buffer(name)) for name in strengths}
    try:
        for name, value in strengths.items():
            regularizer.get_buffer(name).fill_(value)
        yield
    finally:
        for name, value in original.items():
            regularizer.get_buffer(name).fill_(value)


@contextmanager
def _disabled(regularizer: Regularizer) -> Iterator[None]:
    """Disable a regularizer: its hooks on the model do nothing, and its methods are those of the base class."""
    attributes = vars(regularizer)
    replaced = {hook: getattr(Regularizer, hook).__get__(regularizer) for hook in _STEP_HOOKS}
    try:
        attributes.update(replaced)
        with _replaced_hooks([regularizer], lambda hook, original: lambda *inputs, **options: None):
            torch.compiler.reset()  # compiled modules and functions keep the hooks of their compilation
            yield
    finally:
        for hook in replaced:
            attributes.pop(hook, None)
        torch.compiler.reset()


@contextmanager
def _replaced_hooks(regularizers: Iterable[Regularizer], replacement: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Replace the regularizers' hooks on the model within the block.

    Args:
        regularizers: attached to the model.
        replacement: returns the new hook for a `Hook` and its function.
    """
    hooks = [hook for regularizer in regularizers for hook in regularizer.hooks if hook.key in hook.hooks]
    originals = [hook.hooks[hook.key] for hook in hooks]
    try:
        for hook, original in zip(hooks, originals, strict=True):
            hook.hooks[hook.key] = replacement(hook, original)
        yield
    finally:
        for hook, original in zip(hooks, originals, strict=True):
            hook.hooks[hook.key] = original


def _recording_hook(layer: str, hook: Callable[..., Any], called: dict[str, bool]) -> Callable[..., Any]:
    """Return a hook that records whether its layer was in training mode in `called`, then calls `hook`."""

    def record(module: nn.Module, *inputs: Any, **options: Any) -> Any:
        called[layer] = called.get(layer, False) or module.training
        return hook(module, *inputs, **options)

    return record
