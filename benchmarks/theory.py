"""What a step with a regularizer ought to cost: passes through the net, random numbers, and work on its weights."""

import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

from reglab.regularizers import Regularizer, penalized
from reglab.regularizers._hooks import hidden_activations

NUMBERS = 1 << 20


def random_ms(device: torch.device) -> float:
    """Milliseconds that torch takes for `NUMBERS` uniform random numbers."""
    times = []
    for _ in range(9):
        began = time.perf_counter()
        torch.rand(NUMBERS, device=device)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def factor(method: Regularizer, model: nn.Module, inputs: Tensor, none_ms: float, random_ms: float) -> float:
    """Theoretical cost of a step relative to `none`, at least 1.

    A step without a regularizer has 6 floating-point operations for each weight and example: two in the forward pass
    and four in the backward pass. (A convolution has more, for it uses a weight at many places.)

    Args:
        method: with its default strengths.
        model: the net.
        inputs: a batch.
        none_ms: of a step without a regularizer.
        random_ms: see the function of this name.
    """
    weights = penalized(model).values()
    count = sum(weight.numel() for weight in weights)
    drawn = (
        {"": 0, "weights": count, "activations": _units(model, inputs)}[method.draws] / NUMBERS * random_ms / none_ms
    )
    flops = sum(method.flops(*weight.flatten(1).shape) for weight in weights)
    return method.passes + drawn + flops / (6 * len(inputs) * count)


def _units(model: nn.Module, inputs: Tensor) -> int:
    """How many hidden activations the batch has."""
    counts: list[int] = []

    def count(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        counts.append(output.numel())

    handles = [layer.register_forward_hook(count) for layer in hidden_activations(model).values()]
    model(inputs)
    for handle in handles:
        handle.remove()
    return sum(counts)
