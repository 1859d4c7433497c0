"""Running statistics of normalizations: find, freeze and recompute them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from reglab.compat.torch import NormBase


def batch_norms(model: nn.Module) -> list[NormBase]:
    """Return the normalizations that have running statistics."""
    return [norm for norm in model.modules() if isinstance(norm, NormBase) and norm.running_mean is not None]


def running_statistics(model: nn.Module) -> list[Tensor]:
    """Return running means and variances, (channels,) each, of all normalizations that have them."""
    pairs = [(norm.running_mean, norm.running_var) for norm in batch_norms(model)]
    return [statistic for pair in pairs for statistic in pair if statistic is not None]


@contextmanager
def frozen_statistics(norms: Iterable[NormBase]) -> Iterator[None]:
    """Normalize by the statistics of the batch without updating running statistics and counts."""
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
    """Set running means and variances to those of the inputs; batches are weighted by their rows.

    Normalizations run in training mode, all other modules in eval mode, so that dropout and noise are off and no random
    number is drawn; ``torch.optim.swa_utils.update_bn`` draws masks, and gives a smaller last batch the weight of a
    whole one. Counters of batches are not changed.

    Args:
        model: model to update; the modes of its modules are restored.
        batches: inputs (rows, ...), each on the model's device.
    """
    norms = batch_norms(model)
    modes = {module: module.training for module in model.modules()}
    settings = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    seen = dict.fromkeys(norms, 0)

    def weigh(norm: Any, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].numel()
        seen[norm] += values
        norm.momentum = values / seen[norm]  # 1 for the first batch, which replaces the earlier statistics

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
        for norm, momentum, counter in settings:
            norm.momentum, norm.num_batches_tracked = momentum, counter
        for module, mode in modes.items():
            module.training = mode
