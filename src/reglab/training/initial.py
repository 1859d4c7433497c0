"""Initial weights that depend only on the seed, with a hash as proof."""

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
from reglab.training.modes import in_mode


def init_hash(model: nn.Module) -> str:
    """SHA-256 over the initial parameters and buffers, by name: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()[:16]


def is_complete(network: nn.Module) -> bool:
    """Whether no lazy layer waits for its first pass."""
    return not any(map(is_lazy, _state(network).values()))


def completed(network: nn.Module, make: Callable[[], nn.Module], inputs: Tensor, cfg: DictConfig) -> nn.Module:
    """Give a user's network all its weights, those that only a first pass makes included.

    Lazy layers, and layers that ``forward`` creates when it is first called, draw their weights in a pass over `inputs`
    that the seed rules as it does the constructor. Whether there are any shows on a second network, so that all others
    see no pass at all. Both must start from the same weights. A network that changes its inputs in place is given
    copies of them in every pass: they are rows of the data set, or what a second pass over the batch reads.

    Args:
        network: as `make` has built it.
        make: builds the network from the seed.
        inputs: a few training rows (rows, ...).
        cfg: names the network and the seed.

    Raises:
        ConfigError: the two networks differ, or lazy layers are left that no pass gives a shape.
    """
    second = make()
    _check_equal(network, second, cfg)
    before = _layout(second)
    try:
        _first_pass(second, inputs, cfg)
        if _layout(second) == before and is_complete(second):
            return _given_copies(network) if _changes(second, inputs, cfg) else network
        _first_pass(network, inputs, cfg)
    except Exception:  # `reglab.training.trial` makes the same pass and reports what is wrong with it
        return network
    if lazy := [name for name, value in _state(network).items() if is_lazy(value)]:
        raise ConfigError(
            Setting("model", cfg.model.name),
            f"no pass over examples gives the lazy layers of {', '.join(lazy[:3])} a shape",
            "call them in forward, or leave them out",
        )
    _check_equal(network, second, cfg)
    return _given_copies(network) if _changes(second, inputs, cfg) else network


def _changes(network: nn.Module, inputs: Tensor, cfg: DictConfig) -> bool:
    """Whether a pass in either mode changes its inputs in place."""
    for training in (False, True):
        given = inputs.clone()
        # One that cannot read two rows in this mode is reported by its first pass in training.
        ruled, mode = seeded(int(cfg.seed), "first pass"), in_mode(network, training=training)
        with suppress(Exception), ruled, mode, torch.no_grad():
            network(given)
        if not _equal(given, inputs):
            return True
    return False


def _given_copies(network: nn.Module) -> nn.Module:
    network.register_forward_pre_hook(_copied)
    return network


def _copied(network: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.clone() if isinstance(value, Tensor) else value for value in inputs)


def _first_pass(network: nn.Module, inputs: Tensor, cfg: DictConfig) -> None:
    """One pass in eval mode, and one in training mode where lazy layers are left; what was there keeps its value."""
    values = {name: value.detach().clone() for name, value in _state(network).items() if not is_lazy(value)}
    for training in (False, True):
        with seeded(int(cfg.seed), "first pass"), in_mode(network, training=training), torch.no_grad():
            network(inputs.clone())
        if is_complete(network):
            break
    with torch.no_grad():
        for name, value in _state(network).items():
            if name in values and value.shape == values[name].shape:
                value.copy_(values[name])


def _check_equal(network: nn.Module, second: nn.Module, cfg: DictConfig) -> None:
    others = {name: value for name, value in _state(second).items() if not is_lazy(value)}
    differ = [name for name, value in _state(network).items() if name in others and not _equal(value, others[name])]
    if differ:
        raise ConfigError(
            Setting("model", cfg.model.name),
            f"two networks built from seed {cfg.seed} start from different weights ({', '.join(differ[:3])})",
            "draw from the global generators of torch, numpy or random, which the seed sets "
            "(np.random.default_rng() without a seed is another)",
        )


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _layout(network: nn.Module) -> dict[str, Any]:
    return {name: None if is_lazy(value) else value.shape for name, value in _state(network).items()}


def _equal(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one, other) or (one.shape == other.shape and _bytes(one) == _bytes(other))  # NaN is not NaN


def _bytes(tensor: Tensor) -> bytes:
    plain = tensor.detach().cpu().contiguous().reshape(-1)
    return plain.view(torch.uint8).numpy().tobytes()  # as bytes: NumPy has no bfloat16
