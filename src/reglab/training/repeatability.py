"""Checks that passes of a network are repeatable: equal rows, state and random numbers give equal outputs."""

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reglab.schema.errors import ConfigError, Setting
from reglab.seeding import seeded
from reglab.training.snapshot import Snapshot
from reglab.training.train_eval_mode import in_mode
from reglab.user_code.importing import describe_error, loaded_modules

ROUNDING = 10.0  # factor of the difference of two equal steps, below which nondeterministic kernels explain it
UNSEEDED = 1e-3  # relative difference of two equal steps that rounding does not explain


def check_repeatable(where: Setting, model: nn.Module, inputs: Tensor, *, inference: bool = True) -> None:
    """Raise an error for a network whose passes over the same rows are not repeatable; its state is restored.

    In eval mode passes must be equal for all random numbers and not change the state. In training mode they must be
    equal for equal random numbers, draw only from the global generators, not seed them, and keep the parameters.

    Args:
        where: setting of the network.
        model: in any mode.
        inputs: a few examples (rows, ...).
        inference: test it in ``torch.inference_mode`` too.

    Raises:
        ConfigError: names the remedy.
    """
    _check_evaluation(where, model, inputs)
    if inference:
        _check_inference(where, model, inputs)
    _check_training(where, model, inputs)


def _check_evaluation(where: Setting, model: nn.Module, inputs: Tensor) -> None:
    if evaluation_differs(model, lambda: model(inputs)):
        raise ConfigError(
            where,
            "two passes in eval mode over the same rows differ, so validation and test metrics would be "
            "those of one random draw",
            "draw only in training mode, as F.dropout(x, p, training=self.training) and nn.Dropout do",
        )
    with Snapshot([model]) as snapshot, torch.no_grad(), seeded(0, "evaluation"):
        first, second = _restored_copy(model, snapshot), _restored_copy(model, snapshot)
        with in_mode(second, training=False):
            second(inputs.clone())
        outputs = []
        for network in (first, second):
            with in_mode(network, training=False):
                outputs.append(fingerprint(tensors_of(network(inputs.clone()))))
    if second is not model and relative_difference(*outputs) > 100 * _eps(inputs):
        raise ConfigError(
            where,
            "a pass in eval mode changes what later ones return, so results would depend on how often "
            "the network is evaluated",
            "change its state only in training mode (if self.training)",
        )


def _check_inference(where: Setting, model: nn.Module, inputs: Tensor) -> None:
    with Snapshot([model]) as snapshot, seeded(0, "evaluation"):
        network = _restored_copy(model, snapshot)
        if network is model:  # inference tensors that it stores could not be used in training
            return
        try:
            with in_mode(network, training=False), torch.inference_mode():
                network(inputs.clone())
        except Exception as error:
            raise ConfigError(
                where,
                f"its forward fails in torch.inference_mode, in which it is tested ({describe_error(error)})",
                "add +trainer.inference_mode=false",
            ) from error


def _restored_copy(model: nn.Module, snapshot: Snapshot) -> nn.Module:
    """Return a copy of the model in its original state, or the restored model itself if it cannot be copied."""
    snapshot.restore()
    try:
        return copy.deepcopy(model)
    except Exception:
        return model


def _eps(inputs: Tensor) -> float:
    return torch.finfo(inputs.dtype if inputs.is_floating_point() else torch.float32).eps


def _module_generator_states() -> dict[str, str]:
    """Return the states of random generators in variables of the user's Python modules."""
    return {
        f"{module.__name__}.{name}": repr(_generator_state(value))
        for module in loaded_modules()
        for name, value in list(vars(module).items())
        if isinstance(value, torch.Generator | np.random.Generator | np.random.RandomState | random.Random)
    }


def _global_generator_states() -> dict[str, int]:
    """Return a hash of the state of each global generator."""
    return {
        "torch": hash(torch.get_rng_state().numpy().tobytes()),
        "numpy": hash(repr(np.random.get_state(legacy=False))),
        "random": hash(random.getstate()),
    }


def _generator_state(generator: Any) -> object:
    """Return the state of a random generator of torch, NumPy or Python."""
    if isinstance(generator, torch.Generator):
        return generator.get_state().tolist()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state(legacy=False)


@torch.enable_grad()
def _check_training(where: Setting, model: nn.Module, inputs: Tensor) -> None:
    final_states: list[dict[str, int]] = []  # states of the global generators after a pass
    replaced: list[str] = []

    def run_pass(seed: int) -> Tensor:
        network = _restored_copy(model, snapshot)
        parameters_before = dict(network.named_parameters())
        with seeded(seed, "training"), in_mode(network, training=True):
            outputs = fingerprint(tensors_of(network(inputs.clone())))
            final_states.append(_global_generator_states())
        parameters = dict(network.named_parameters())
        names = parameters_before | parameters
        replaced.extend(name for name in names if parameters.get(name) is not parameters_before.get(name))
        return outputs

    remedy = "draw from the global generators of torch, numpy or random, which the seed sets"
    states_before = _module_generator_states()
    with Snapshot([model]) as snapshot:
        passes_differ = relative_difference(run_pass(0), run_pass(0)) > 100 * _eps(inputs)
        run_pass(1)
    if replaced:
        raise ConfigError(
            where,
            f"its forward replaces the parameter {replaced[0]} in training, and the optimizer does not "
            "train the new one",
            "create it in the constructor, and change its values by copy_ under torch.no_grad()",
        )
    if seeds := [name for name, state in final_states[0].items() if state == final_states[-1][name]]:
        raise ConfigError(
            where,
            f"its forward seeds the generator of {seeds[0]} in training, so that each step and each seed "
            "of a run draws the same numbers",
            "remove the call",
        )
    if drawn := [name for name, state in _module_generator_states().items() if state != states_before.get(name)]:
        raise ConfigError(where, f"draws from {drawn[0]} in training, which the seed of a run does not set", remedy)
    if passes_differ:
        raise ConfigError(
            where,
            "two passes in training mode over the same rows with the same random numbers differ, so no "
            "run could be repeated",
            f"{remedy}, and store state that passes share in the network",
        )


@torch.no_grad()
def evaluation_differs(model: nn.Module, outputs: Callable[[], Any]) -> bool:
    """Return whether outputs in eval mode depend on random numbers, beyond the rounding of equal passes.

    Args:
        model: set to eval mode for the passes.
        outputs: runs a pass and returns tensors, or tuples of them.
    """

    def run_pass(seed: int) -> Tensor:
        snapshot.restore()
        with seeded(seed, "evaluation"), in_mode(model, training=False):
            return fingerprint(tensors_of(outputs()))

    with Snapshot([model]) as snapshot:
        first = run_pass(0)
        rounding = relative_difference(run_pass(0), first)
        return rounding > UNSEEDED or any(
            relative_difference(run_pass(seed), first) > ROUNDING * rounding for seed in (1, 2, 3)
        )


def tensors_of(outputs: Any) -> list[Tensor]:
    """Return all tensors of nested mappings, tuples and lists."""
    if isinstance(outputs, Tensor):
        return [outputs]
    values = outputs.values() if isinstance(outputs, Mapping) else outputs if isinstance(outputs, tuple | list) else ()
    return [tensor for value in values for tensor in tensors_of(value)]


def fingerprint(tensors: Sequence[Tensor]) -> Tensor:
    """Return sum, position-weighted sum and scaled norm of each tensor, float64 (tensors, 3)."""
    rows = []
    for tensor in tensors:
        dense = tensor.detach() if tensor.layout is torch.strided else tensor.detach().to_dense()
        flat = (torch.view_as_real(dense) if dense.is_complex() else dense).double().flatten()
        ramp = torch.linspace(1, 2, flat.numel(), dtype=flat.dtype, device=flat.device)
        rows.append(torch.stack([flat.sum(), flat @ ramp, torch.linalg.vector_norm(flat) * flat.numel() ** 0.5]))
    return torch.stack(rows)


def relative_difference(first: Tensor, second: Tensor) -> float:
    """Return the largest difference of two fingerprints relative to the norms of their tensors; 0 if all are equal."""
    if first.shape != second.shape:
        return float("inf")
    scale = (first[:, 2:].abs() + second[:, 2:].abs()).clamp_min(torch.finfo(first.dtype).tiny)
    same = (first == second) | (first.isnan() & second.isnan())
    relative = torch.where(same, 0.0, ((first - second).abs() / scale).nan_to_num(float("inf"), float("inf")))
    return float(relative.max())
