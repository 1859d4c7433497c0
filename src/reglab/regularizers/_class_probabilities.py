"""Class probabilities of outputs and of targets."""

from typing import Any

import torch
from torch import Tensor

from reglab.schema.task_kinds import CLASS_LABELS


def log_probabilities(outputs: Tensor) -> Tensor:
    """Return the log-softmax of logits (..., classes), in at least float32: bfloat16 would round a p of .998 to 1."""
    return outputs.log_softmax(-1, dtype=torch.promote_types(outputs.dtype, torch.float32))


def expected_at_targets(values: Tensor, targets: Tensor) -> Tensor:
    """Return the value of each row's target class; for class probabilities, the expected value.

    Args:
        values: (..., classes), finite.
        targets: class indices (...), or class probabilities (..., classes).

    Returns:
        (...).
    """
    if targets.is_floating_point():
        return (values * targets).sum(-1)
    return values.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def as_probabilities(targets: Tensor, task: Any, dtype: torch.dtype) -> Tensor:
    """Return targets that can be mixed: class indices (rows,) as one-hot probabilities (rows, classes).

    Class probabilities and regression targets are returned unchanged.
    """
    if CLASS_LABELS not in task.about.features or targets.is_floating_point():
        return targets
    return (targets.unsqueeze(-1) == torch.arange(task.classes, device=targets.device)).to(dtype)
