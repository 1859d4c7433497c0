"""Initial weights: their hash, and checks that those of a user's network depend only on the seed."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from reglab.schema.errors import ConfigError, Setting
from reglab.seeding import seeded
from reglab.training.train_eval_mode import in_mode


def init_hash(model: nn.Module) -> str:
    """Return the SHA-256 of the initial parameters and buffers with their names, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()[:16]


def has_all_weights(network: nn.Module) -> bool:
    """Return whether no lazy layer is uninitialized."""
    return not any(map(is_lazy, _state(network).values()))


def initialize_lazy_weights(
    network: nn.Module, make: Callable[[], nn.Module], inputs: Tensor, cfg: DictConfig
) -> nn.Module:
    """Initialize the weights of a user's network that are created by its first pass, and return the network.

    Lazy layers, and layers that ``forward`` creates when it is first called, draw their weights in a seeded pass over
    `inputs`. A second network detects such layers, so that networks without them are not called. Both must start from
    the same weights. A network that changes its inputs in place receives copies of them in every pass, because inputs
    are rows of the data set and may be read again by a second pass over the batch.

    Args:
        network: network returned by `make`.
        make: builds the network from the seed.
        inputs: a few training rows (rows, ...).
        cfg: config with the name of the network and the seed.

    Raises:
        ConfigError: the two networks differ, or no pass initializes a lazy layer.
    """
    second = make()
    _check_equal(network, second, cfg)
    shapes_before = _shapes(second)
    try:
        _first_pass(second, inputs, cfg)
        if _shapes(second) == shapes_before and has_all_weights(second):
            return _pass_copies(network) if _changes_inputs(second, inputs, cfg) else network
        _first_pass(network, inputs, cfg)
    except Exception:  # `reglab.training.model_data_checks` reports errors of the same pass
        return network
    if lazy := [name for name, value in _state(network).items() if is_lazy(value)]:
        raise ConfigError(
            Setting("model", cfg.model.name),
            f"no pass over examples initializes the lazy layers of {', '.join(lazy[:3])}",
            "call them in forward, or leave them out",
        )
    _check_equal(network, second, cfg)
    return _pass_copies(network) if _changes_inputs(second, inputs, cfg) else network


def _changes_inputs(network: nn.Module, inputs: Tensor, cfg: DictConfig) -> bool:
    """Return whether a pass in either mode changes its inputs in place."""
    for training in (False, True):
        passed = inputs.clone()
        # An error in this mode is raised again by the first pass of training.
        seed, mode = seeded(int(cfg.seed), "first pass"), in_mode(network, training=training)
        with suppress(Exception), seed, mode, torch.no_grad():
            network(passed)
        if not _equal(passed, inputs):
            return True
    return False


def _pass_copies(network: nn.Module) -> nn.Module:
    """Make the network receive copies of its inputs in every pass; return it."""
    network.register_forward_pre_hook(_clone_tensors)
    return network


def _clone_tensors(network: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.clone() if isinstance(value, Tensor) else value for value in inputs)


def _first_pass(network: nn.Module, inputs: Tensor, cfg: DictConfig) -> None:
    """Run a pass in eval mode, and one in training mode if lazy layers are left; present weights keep their values."""
    values = {name: value.detach().clone() for name, value in _state(network).items() if not is_lazy(value)}
    for training in (False, True):
        with seeded(int(cfg.seed), "first pass"), in_mode(network, training=training), torch.no_grad():
            network(inputs.clone())
        if has_all_weights(network):
            break
    with torch.no_grad():
        for name, value in _state(network).items():
            if name in values and value.shape == values[name].shape:
                value.copy_(values[name])


def _check_equal(network: nn.Module, second: nn.Module, cfg: DictConfig) -> None:
    second_state = {name: value for name, value in _state(second).items() if not is_lazy(value)}
    different = [
        name
        for name, value in _state(network).items()
        if name in second_state and not _equal(value, second_state[name])
    ]
    if different:
        raise ConfigError(
            Setting("model", cfg.model.name),
            f"two networks built from seed {cfg.seed} start from different weights ({', '.join(different[:3])})",
            "draw from the global generators of torch, numpy or random, which the seed sets "
            "(np.random.default_rng() without a seed is another)",
        )


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _shapes(network: nn.Module) -> dict[str, Any]:
    return {name: None if is_lazy(value) else value.shape for name, value in _state(network).items()}


def _equal(first: Tensor, second: Tensor) -> bool:
    # By bytes too, because torch.equal is false for NaN.
    return torch.equal(first, second) or (first.shape == second.shape and _bytes(first) == _bytes(second))


def _bytes(tensor: Tensor) -> bytes:
    plain = tensor.detach().cpu().contiguous().reshape(-1)
    return plain.view(torch.uint8).numpy().tobytes()  # as bytes: NumPy has no bfloat16
