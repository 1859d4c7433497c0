"""What methods that mix examples share: the shares, and targets that can be mixed."""

from typing import Any

import torch
from torch import Tensor

from reglab.schema.task_kinds import CLASS_LABELS

TRIES = 8  # each is accepted with a probability above .95


def beta_draws(alpha: Tensor, rows: int) -> Tensor:
    """Draws of Beta(alpha, alpha) from the global generator; 1 where alpha is 0.

    As G / (G + G') with two Gamma(alpha) variables (Marsaglia and Tsang 2000, "A Simple Method for Generating Gamma
    Variables"). Under vmap torch's own Gamma refuses ``randomness="same"`` for a stack of alphas; here what is drawn
    does not depend on alpha. In logarithms, for at a small alpha both variables underflow, and their share would be ½.

    Args:
        alpha: 0-dim, at least 0; below 1e-6 as 1e-6, where all draws are 0 or 1.
        rows: number of draws.

    Returns:
        (rows,), from 0 to 1, on alpha's device.
    """
    like: dict[str, Any] = {"device": alpha.device, "dtype": alpha.dtype}
    positive = alpha.clamp_min(1e-6)
    d = positive + 2 / 3  # of Gamma(alpha + 1), from which U^(1 / alpha) leads to Gamma(alpha)
    # The last try is the middle, which is always accepted: in one of 10^10 draws it is needed.
    normal = torch.cat([torch.randn(2, rows, TRIES, **like), torch.zeros(2, rows, 1, **like)], -1)
    height = 1 - torch.rand(2, rows, TRIES + 1, **like)
    cube = (1 + normal / (9 * d).sqrt()) ** 3
    # The logarithm of a negative number is not a number, which no comparison accepts.
    accepted = height.log() <= normal.square() / 2 + d * (1 - cube + cube.log())
    first = accepted & (accepted.cumsum(-1) == 1)
    gamma = d * torch.where(first, cube, 0).sum(-1)
    log_gamma = gamma.log() + (1 - torch.rand(2, rows, **like)).log() / positive
    return torch.where(alpha > 0, (log_gamma[0] - log_gamma[1]).sigmoid(), 1)


def shared(targets: Tensor, task: Any, dtype: torch.dtype) -> Tensor:
    """Targets of which a mixture has a meaning: class numbers (rows,) as shares of classes (rows, classes).

    Shares of classes and the numbers of a regression are so already, and come back as they are.
    """
    if CLASS_LABELS not in task.about.features or targets.is_floating_point():
        return targets
    return (targets.unsqueeze(-1) == torch.arange(task.classes, device=targets.device)).to(dtype)


def blended(values: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """share · values + (1 - share) · others, row by row; a share of 1 gives the values back, bit for bit.

    Signals (rows, channels, length) may end, NaN from there on: where the other has ended a row goes on alone, and
    where it has ended itself so has the mixture.

    Args:
        values: (rows, ...), as `others`.
        share: (rows,), from 0 to 1.
    """
    if values.ndim == 3:
        others = torch.where(others.isnan(), values, others)
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    return (share * values + (1 - share) * others).to(values.dtype)
