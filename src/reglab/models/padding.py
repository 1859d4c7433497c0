"""Sequences of different lengths, padded with NaN: masks and reductions over unpadded positions."""

import torch
from torch import Tensor


def unpadded(signals: Tensor) -> tuple[Tensor, Tensor]:
    """Replace padding by zeros, and return the signals and the mask of unpadded positions.

    Args:
        signals: (rows, channels, length), NaN after the end of each row.

    Returns:
        signals of the same shape, and bool (rows, length), true at unpadded positions.
    """
    padding = signals.isnan()
    return signals.masked_fill(padding, 0), ~padding[:, 0]


def last_unpadded(values: Tensor, mask: Tensor) -> Tensor:
    """Return the values at the last unpadded position of each row, (rows, features).

    Args:
        values: (rows, length, features).
        mask: bool (rows, length), true at unpadded positions, of which each row has at least one.
    """
    last = (mask * torch.arange(mask.shape[1], device=mask.device)).argmax(1)
    # gather, since take_along_dim would fix the number of rows in an exported graph.
    return values.gather(1, last[:, None, None].expand(-1, 1, values.shape[2])).squeeze(1)


def mean_unpadded(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of values (rows, length, features) over the unpadded positions of each row, (rows, features)."""
    weights = mask.to(values.dtype).unsqueeze(-1)
    return (values * weights).sum(1) / weights.sum(1)
