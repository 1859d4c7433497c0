"""Handwritten digits, 1,797 images of 8 x 8 (UCI, through scikit-learn)."""

from functools import lru_cache
from typing import ClassVar

import torch

from reglab.data.base import TensorData
from reglab.data.source import Source


class Digits(TensorData):
    """Handwritten digits, 1,797 images of 8 x 8 (UCI, through scikit-learn).

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test part).
    """

    inputs_description: ClassVar = "Inputs (1, 8, 8) from 0 to 1, ten classes."

    kind = "classification"
    dims = 3

    def load(self) -> Source:
        """Return all 1,797 rows."""
        return _digits()


@lru_cache(maxsize=1)  # read once in a sweep
def _digits() -> Source:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    inputs = torch.from_numpy(images).float().div(16).reshape(-1, 1, 8, 8)
    return Source(inputs, torch.from_numpy(labels).long(), classes=10)
