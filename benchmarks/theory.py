"""Theoretical cost of a step with a regularizer: passes through the network, FLOPs, random numbers, memory."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reglab.regularizers import Regularizer, penalized
from reglab.regularizers._layers import hidden_activations

_NUMBERS = 1 << 22  # more than fits into caches


@dataclass(frozen=True)
class Prices:
    """Milliseconds per million numbers: drawn from a uniform or a normal distribution, and read or written."""

    uniform: float
    normal: float
    moved: float


def prices(device: torch.device) -> Prices:
    """Measure the prices on a device."""
    target, source = torch.zeros(_NUMBERS, device=device), torch.ones(_NUMBERS, device=device)
    millions = _NUMBERS / 1e6
    return Prices(
        uniform=_ms(device, target.uniform_) / millions,
        normal=_ms(device, target.normal_) / millions,
        moved=_ms(device, lambda: target.copy_(source)) / (2 * millions),
    )


def _ms(device: torch.device, work: Callable[[], object]) -> float:
    times = []
    for _ in range(9):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def factor(method: Regularizer, model: nn.Module, inputs: Tensor, none_ms: float, prices: Prices) -> float:
    """Return the theoretical cost of a step relative to `none`; below 1 if a method skips parts of the model.

    A step without a regularizer has 6 floating-point operations for each weight and example: two in the forward pass
    and four in the backward pass. (A convolution has more, since it uses each weight at many positions.)

    Args:
        method: regularizer with its default strengths.
        model: the network.
        inputs: a batch.
        none_ms: milliseconds of a step without a regularizer.
        prices: as `prices` returns them.
    """
    weights = penalized(model).values()
    count = sum(weight.numel() for weight in weights)
    kind, _, of = method.draws.rpartition(" ")
    drawn = {"": 0, "weights": count, "activations": _units(model, inputs)}[of]
    price = prices.normal if kind == "normal" else prices.uniform
    extra_ms = (drawn * price + method.memory_traffic * count * prices.moved) / 1e6
    flops = sum(method.flops(*weight.flatten(1).shape) for weight in weights)
    return method.passes + extra_ms / none_ms + flops / (6 * len(inputs) * count)


def _units(model: nn.Module, inputs: Tensor) -> int:
    """Return the number of hidden activations of a batch."""
    counts: list[int] = []

    def count(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        counts.append(output.numel())

    handles = [layer.register_forward_hook(count) for layer in hidden_activations(model).values()]
    model(inputs)
    for handle in handles:
        handle.remove()
    return sum(counts)
