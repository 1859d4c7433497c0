"""Caveats about a run: combined or missing effects of its strategy, and properties of its model.

Each function returns messages, one per caveat; a run records them in tags and prints them.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from reglab.regularizers._layers import random_layers
from reglab.regularizers._schedules import Schedule
from reglab.regularizers.base import Regularizer
from reglab.regularizers.swa import LateAverage
from reglab.schema.text import join_names
from reglab.seeding import restored_generators
from reglab.training.repeatability import tensors_of
from reglab.training.snapshot import Snapshot
from reglab.training.train_eval_mode import in_mode, parts_in_eval


def double_counting_caveats(cfg: DictConfig, regularizers: Iterable[Regularizer], model: nn.Module) -> list[str]:
    """Report each effect that more than one setting causes; strengths at their off values do not count.

    An optimizer's ``weight_decay`` is L2 for SGD and Adam and decoupled decay for AdamW; both shrink weights as the
    regularizers `l2` and `weight_decay` do, so these count as one effect. Dropout layers of the model and regularizers
    that make activations noisy also count as one.

    Args:
        cfg: config of the run.
        regularizers: regularizers of the run, at their present strengths.
        model: with its own layers.
    """
    sources: dict[str, list[str]] = defaultdict(list)
    for regularizer in regularizers:
        for name, strength in regularizer.strengths().items():
            if strength.effect and not _strength_is_off(regularizer, name):
                sources[strength.effect].append(f"{regularizer.name}.{name}")
    if cfg.optimizer.get("weight_decay"):
        sources["shrunken weights"].append("optimizer.weight_decay")
    if cfg.trainer.get("gradient_clip_val"):
        sources["gradient clipping"].append("trainer.gradient_clip_val")
    if random_layers(model):
        sources["noisy activations"].append("the model's own dropout")
    return [
        f"{join_names(settings)} have the same effect, {effect}"
        for effect, settings in sources.items()
        if len(settings) > 1
    ]


def model_caveats(model: nn.Module) -> list[str]:
    """Report properties of a model under every strategy: dropout layers, modules in eval mode, unregistered layers.

    Args:
        model: in training mode, without regularizers.
    """
    caveats = []
    if dropout := random_layers(model):
        caveats.append(
            f"the model's own dropout acts under every strategy, none included: {_first_names(dropout)} "
            f"({', '.join(dict.fromkeys(dropout.values()))})"
        )
    if frozen := [name for name, _ in parts_in_eval(model)]:
        caveats.append(
            f"these parts of the model stay in eval mode in training, under every strategy: {_first_names(frozen)}"
        )
    if unregistered := _unregistered(model):
        caveats.append(
            "layers in a plain list or dictionary are neither trained nor regularized: "
            f"{_first_names(unregistered)}; register them with nn.ModuleList or nn.ModuleDict"
        )
    return caveats


def _unregistered(model: nn.Module) -> list[str]:
    """Return the names of attributes that contain modules with parameters outside of the model's submodules."""
    registered = set(model.modules())

    def is_unregistered(item: object) -> bool:
        return isinstance(item, nn.Module) and item not in registered and any(True for _ in item.parameters())

    names = []
    for module_name, module in model.named_modules():
        for attribute, value in vars(module).items():
            items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
            if attribute not in ("_modules", "_parameters", "_buffers") and any(map(is_unregistered, items)):
                names.append(f"{module_name}.{attribute}".lstrip("."))
    return names


@torch.no_grad()
def output_caveats(model: nn.Module, inputs: Tensor) -> list[str]:
    """Report a classifier whose outputs are probabilities or sigmoids instead of logits.

    The loss applies a softmax to the outputs.

    Args:
        model: returns one number for each class, in the last dimension.
        inputs: a few examples (rows, ...).
    """
    modes: dict[str, list[str]] = {"softmax": [], "sigmoid": []}
    for mode in ("eval", "training"):
        with Snapshot([model]), in_mode(model, training=mode == "training"), restored_generators(), suppress(Exception):
            outputs = model(inputs.clone()).double()  # an error in training mode is raised again in training
            if not _within_0_and_1(outputs):
                continue
            if torch.allclose(outputs.sum(-1), torch.ones_like(outputs[..., 0]), rtol=0, atol=1e-3):
                modes["softmax"].append(mode)
                continue
            for parameter in model.parameters():  # logits may be in [0, 1] by chance, but not for all weights
                if parameter.requires_grad:
                    parameter.add_(10 * torch.randn_like(parameter))
            if _within_0_and_1(model(inputs.clone()).double()):
                modes["sigmoid"].append(mode)
    suffixes = {
        activation: f" in {activation_modes[0]} mode" if len(activation_modes) == 1 else ""
        for activation, activation_modes in modes.items()
        if activation_modes
    }
    descriptions = {
        "softmax": "are probabilities (at least 0, with a sum of 1), and the loss applies a second softmax to them",
        "sigmoid": "lie between 0 and 1, as those of a sigmoid, and the loss applies a softmax to them",
    }
    return [
        f"the outputs of the model{suffix} {descriptions[activation]}, so that it cannot get close to 0; "
        f"return logits, without {activation}"
        for activation, suffix in suffixes.items()
    ]


@torch.enable_grad()
def parameter_caveats(model: nn.Module, inputs: Tensor) -> list[str]:
    """Report trainable tensors on which outputs depend and that are not parameters of the model, so are not trained.

    Args:
        model: in any mode.
        inputs: a few examples (rows, ...).
    """
    if _unregistered(model):  # `model_caveats` reports their names
        return []
    parameters = set(model.parameters())
    with Snapshot([model]), in_mode(model, training=True), restored_generators(), suppress(Exception):
        first, second = (_leaves(model(inputs.clone())) for _ in range(2))
        unregistered = [leaf for leaf in first & second if leaf not in parameters]  # others are created in forward
        if unregistered:
            shapes = ", ".join(str(tuple(leaf.shape)) for leaf in unregistered[:3])
            return [
                f"the outputs of the model depend on trainable tensors (of shape {shapes}) that are not parameters of "
                "it, so that they are neither trained nor regularized; register them as nn.Parameter, nn.ParameterList "
                "or nn.ModuleList, as attributes of a module"
            ]
    return []


def _leaves(outputs: Any) -> set[Tensor]:
    """Return the tensors to which a backward pass from the outputs would add gradients."""
    nodes = [tensor.grad_fn for tensor in tensors_of(outputs) if tensor.grad_fn is not None]
    seen, leaves = set(nodes), set()
    while nodes:
        node: Any = nodes.pop()
        if hasattr(node, "variable"):
            leaves.add(node.variable)
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                nodes.append(following)
    return leaves


def _within_0_and_1(outputs: Tensor) -> bool:
    return bool(((outputs >= 0) & (outputs <= 1)).all())


@torch.no_grad()
def batch_caveats(model: nn.Module, inputs: Tensor) -> list[str]:
    """Report a network whose outputs in eval mode for a row depend on the other rows of its batch.

    Args:
        model: in any mode.
        inputs: a few examples (rows, ...).
    """
    half = len(inputs) // 2
    if not half:
        return []
    with Snapshot([model]) as snapshot, in_mode(model, training=False), restored_generators():
        passes: list[Tensor] = []
        for rows in (inputs, inputs[:half], inputs[half:]):
            snapshot.restore()
            model.eval()
            passes.append(model(rows.clone()))
    whole, parts = passes[0], torch.cat(passes[1:])
    rounding = torch.finfo(whole.dtype).eps ** 0.5  # far above differences between kernels
    if not torch.linalg.vector_norm((whole - parts).double()) > rounding * torch.linalg.vector_norm(whole.double()):
        return []
    return [
        "the outputs of the model in eval mode for a row depend on the other rows of its batch, so that validation and "
        "test metrics depend on the batches; use statistics of each row or of training (as nn.BatchNorm1d does), and "
        "batch_first=True where the rows come first"
    ]


def _first_names(names: Collection[str]) -> str:
    """Return the first three names, and the number of the others."""
    text = ", ".join(name or "all of it" for name in list(names)[:3])
    return f"{text} and {len(names) - 3} more" if len(names) > 3 else text


def off_caveats(
    regularizers: Iterable[Regularizer], schedules: Mapping[tuple[Regularizer, str], Schedule], epochs: int
) -> list[str]:
    """Report regularizers that are off in every epoch; see `Regularizer.disabled_by`.

    Args:
        regularizers: regularizers of the run.
        schedules: schedules of their strengths.
        epochs: maximum number of epochs.
    """
    caveats = []
    for regularizer in regularizers:
        scheduled = {strength: values for (owner, strength), values in schedules.items() if owner is regularizer}
        if regularizer.disabled_by() and all(
            _is_off_in_epoch(epoch, regularizer, scheduled) for epoch in range(1, (epochs if scheduled else 1) + 1)
        ):
            off = " and ".join(f"{name}={strength.off:g}" for name, strength in regularizer.disabled_by().items())
            when = f" in every epoch (trainer.max_epochs={epochs})" if scheduled else ""
            caveats.append(f"{regularizer.name}: no effect, because {off} is off{when}")
    return caveats


def too_short_caveats(regularizers: Iterable[Regularizer], steps: int, evaluations: int) -> list[str]:
    """Report regularizers that are on and would act only after the end of training.

    Args:
        regularizers: regularizers of the run.
        steps: maximum number of steps.
        evaluations: maximum number of evaluations.
    """
    return [
        f"{regularizer.name}: no effect, because training ends before it acts, after at most {steps} steps and "
        f"{evaluations} evaluations"
        for regularizer in regularizers
        if not is_off(regularizer) and not regularizer.acts_within(steps, evaluations)
    ]


def is_off(regularizer: Regularizer) -> bool:
    """Return whether the present strengths of a regularizer disable it."""
    return bool(regularizer.disabled_by()) and _is_off_in_epoch(1, regularizer, {})


def non_finite_caveats(metrics: Mapping[str, float]) -> list[str]:
    """Report metrics that are infinite or NaN; they are not tracked, because pages of MLflow cannot display them.

    Args:
        metrics: final metrics of a run, by tracked name.
    """
    not_finite = [name for name, value in metrics.items() if not math.isfinite(value)]
    return [f"not finite, and so not tracked: {', '.join(not_finite)}"] if not_finite else []


def averaging_caveats(callbacks: Iterable[Any], step: int) -> list[str]:
    """Report tested weights from before the start of weight averaging.

    Args:
        callbacks: callbacks of the run's regularizers.
        step: step after which the tested weights were evaluated.
    """
    return [
        f"swa: the tested weights are those after step {step}, and the averaging "
        + (f"began after step {average.first - 1}" if average.steps else "never began")
        for average in callbacks
        if isinstance(average, LateAverage) and (not average.steps or step < average.first)
    ]


def _is_off_in_epoch(epoch: int, regularizer: Regularizer, schedules: Mapping[str, Schedule]) -> bool:
    """Return whether a regularizer is disabled in an epoch."""

    def is_off_now(strength: str) -> bool:
        if strength in schedules:
            return schedules[strength](epoch) == regularizer.strengths()[strength].off
        return _strength_is_off(regularizer, strength)

    strengths = regularizer.disabled_by()
    combine = any if any(strength.disables for strength in strengths.values()) else all
    return combine(map(is_off_now, strengths))


def _strength_is_off(regularizer: Regularizer, strength: str) -> bool:
    """Return whether the present value of a strength is its off value."""
    return float(getattr(regularizer, strength)) == regularizer.strengths()[strength].off
