"""Class probabilities of outputs and of targets."""

from typing import Any

import torch
from torch import Tensor

from reglab.schema.task_kinds import CLASS_LABELS


def log_probabilities(outputs: Tensor) -> Tensor:
    """log p of logits (..., classes), in float32 at least: under autocast bfloat16 would round p to 1 at .998."""
    return outputs.log_softmax(-1, dtype=torch.promote_types(outputs.dtype, torch.float32))


def expected_at_targets(values: Tensor, targets: Tensor) -> Tensor:
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


def as_probabilities(targets: Tensor, task: Any, dtype: torch.dtype) -> Tensor:
    """Targets of which a mixture has a meaning: class numbers (rows,) as shares of classes (rows, classes).

    Shares of classes and the numbers of a regression are so already, and come back as they are.
    """
    if CLASS_LABELS not in task.about.features or targets.is_floating_point():
        return targets
    return (targets.unsqueeze(-1) == torch.arange(task.classes, device=targets.device)).to(dtype)
