"""Targets of classification, given as class numbers or as shares of classes."""

import torch
from torch import Tensor


def log_shares(outputs: Tensor) -> Tensor:
    """log p of logits (..., classes), in float32 at least: under autocast bfloat16 would round p to 1 at .998."""
    return outputs.log_softmax(-1, dtype=torch.promote_types(outputs.dtype, torch.float32))


def of_targets(values: Tensor, targets: Tensor) -> Tensor:
    """The value of each row's target class; of shares of classes, the values' mean under them.

    Args:
        values: (..., classes), finite.
        targets: class numbers (...), or shares of classes (..., classes).

    Returns:
        (...).
    """
    if targets.is_floating_point():
        return (values * targets).sum(-1)
    return values.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
