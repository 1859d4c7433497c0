"""Running statistics of normalizations: what they are of, and how they are made anew for other weights."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


def running_statistics(model: nn.Module) -> list[Tensor]:
    """Running means and variances, (channels,) each, of the normalizations that keep them."""
    pairs = [(norm.running_mean, norm.running_var) for norm in _tracking(model)]
    return [statistic for pair in pairs for statistic in pair if statistic is not None]


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
    norms = _tracking(model)
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


def _tracking(model: nn.Module) -> list[_NormBase]:
    return [norm for norm in model.modules() if isinstance(norm, _NormBase) and norm.running_mean is not None]
