"""Sequences of different lengths, which are padded with NaN: what of them is real."""

import torch
from torch import Tensor


def unpadded(signals: Tensor) -> tuple[Tensor, Tensor]:
    """The signals with zeros where they were padded, and which places are real.

    Args:
        signals: (rows, channels, length), NaN after the end of each row.

    Returns:
        signals of the same shape, and bool (rows, length). Signals without an end come back as they are, bit for bit.
    """
    padding = signals.isnan()
    return signals.masked_fill(padding, 0), ~padding[:, 0]


def last_real(values: Tensor, real: Tensor) -> Tensor:
    """The values at the last real place of each row, (rows, features).

    Args:
        values: (rows, length, features).
        real: bool (rows, length), with at least one real place a row.
    """
    last = (real * torch.arange(real.shape[1], device=real.device)).argmax(1)
    # By gather: take_along_dim would fix the number of rows in an exported graph.
    return values.gather(1, last[:, None, None].expand(-1, 1, values.shape[2])).squeeze(1)


def mean_of_real(values: Tensor, real: Tensor) -> Tensor:
    """The mean over the real places of each row, (rows, features); `values` (rows, length, features)."""
    weights = real.to(values.dtype).unsqueeze(-1)
    return (values * weights).sum(1) / weights.sum(1)
