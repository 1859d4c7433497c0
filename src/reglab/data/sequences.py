"""Sequences of different lengths as one tensor."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from reglab.data.standardize import moments


def padded(frames: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Float32 (n, features, longest) with NaN after the end of each sequence.

    NaN is no frame of any sequence, so that what reads it knows where a sequence ends, and noise added to it or a
    factor leave it what it is: `reglab.models.padding` gives the mask.

    Args:
        frames: of all sequences, one after the other, (sum of lengths, features).
        lengths: (n,), at least 1 each.
    """
    whole = np.full((len(lengths), frames.shape[1], lengths.max()), np.nan, dtype=np.float32)
    for row, one in enumerate(np.split(frames, np.cumsum(lengths)[:-1])):
        whole[row, :, : len(one)] = one.T
    return whole


class StandardizedFrames:
    """Padded sequences whose features get mean 0 and variance 1 over all frames of the training rows.

    Args:
        sequences: (n, features, longest), NaN after the end of each.
    """

    def __init__(self, sequences: np.ndarray) -> None:
        self.sequences = sequences

    def __call__(self, train: np.ndarray) -> Tensor:
        """All rows, float32 (n, features, longest), fitted on the row numbers ``train``."""
        mean, scale = (values[:, None] for values in self._fitted(train))
        return torch.from_numpy(((self.sequences - mean) / scale).astype(np.float32))

    def _fitted(self, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        frames = self.sequences[train].astype(np.float64)
        mean, scale = moments(frames.swapaxes(1, 2).reshape(-1, frames.shape[1]))
        return mean, np.where(scale > 0, scale, np.inf)  # of a feature that never changes nothing can be learnt

    def described(self, train: np.ndarray) -> list[dict[str, Any]]:
        """Of each feature its number as ``name``, ``mean`` and ``scale``, None where the input is 0 whatever it was."""
        return [
            {"name": str(number), "mean": float(mean), "scale": float(scale) if np.isfinite(scale) else None}
            for number, (mean, scale) in enumerate(zip(*self._fitted(train), strict=True))
        ]
