"""Running statistics of normalizations: where they are, passes that leave them alone, and how they are made anew."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from reglab.compat.torch import NormBase


def batch_norms(model: nn.Module) -> list[NormBase]:
    """The normalizations that keep running statistics."""
    return [norm for norm in model.modules() if isinstance(norm, NormBase) and norm.running_mean is not None]


def running_statistics(model: nn.Module) -> list[Tensor]:
    """Running means and variances, (channels,) each, of the normalizations that keep them."""
    pairs = [(norm.running_mean, norm.running_var) for norm in batch_norms(model)]
    return [statistic for pair in pairs for statistic in pair if statistic is not None]


@contextmanager
def frozen_statistics(norms: Iterable[NormBase]) -> Iterator[None]:
    """Training passes in here normalize by the batch as ever and leave running statistics and counts as they are."""
    tracking = [norm for norm in norms if norm.training and norm.track_running_stats]
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True


@torch.no_grad()
def recompute_statistics(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Sets running means and variances to those of these inputs, each batch counting by its rows; counters stay.

    Layer for layer what the model says when it normalizes by the batch, as in training, and does everything else as in
    evaluation: what acts in training alone (dropout, noise) has no part in it and draws nothing. Otherwise as
    ``torch.optim.swa_utils.update_bn``, which draws masks and counts a last, smaller batch like a whole one.

    Args:
        model: left in the modes in which it was.
        batches: inputs (rows, ...), each on the model's device.
    """
    norms = batch_norms(model)
    modes = {module: module.training for module in model.modules()}
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    seen = dict.fromkeys(norms, 0)

    def weigh(norm: Any, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].numel()
        seen[norm] += values
        norm.momentum = values / seen[norm]  # the first batch replaces what was there

    handles = [norm.register_forward_pre_hook(weigh) for norm in norms]
    try:
        model.eval()
        for norm in norms:
            norm.train()
            norm.num_batches_tracked = None
        for inputs in batches:
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
        for norm, momentum, counter in before:
            norm.momentum, norm.num_batches_tracked = momentum, counter
        for module, mode in modes.items():
            module.training = mode
