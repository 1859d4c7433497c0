"""MNIST-1D: 5,000 short signals in ten classes, made by the package mnist1d."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch

from reglab.data.base import TensorData
from reglab.data.source import Source


class Mnist1d(TensorData):
    """MNIST-1D: 5,000 short signals in ten classes, made by the package mnist1d.

    The published set, regenerated from its seed: 4,000 training rows, then 1,000 test rows, which are the test part
    if ``test_fraction`` is None. Takes about five seconds, once per process.

    Source: Greydanus and Kobak, Scaling Down Deep Learning with MNIST-1D, ICML 2024, arXiv:2011.14439.
    """

    inputs_description: ClassVar = "Inputs (1, 40), standardized as published; ten classes."

    kind = "classification"
    dims = 2

    def load(self) -> Source:
        """Return all 5,000 rows."""
        return _mnist1d()


@lru_cache(maxsize=1)  # made once in a sweep
def _mnist1d() -> Source:
    from mnist1d.data import make_dataset

    with _restored_generators():
        data = make_dataset()
    inputs = torch.from_numpy(np.concatenate([data["x"], data["x_test"]])).float().unsqueeze(1)
    labels = torch.from_numpy(np.concatenate([data["y"], data["y_test"]])).long()
    return Source(inputs, labels, classes=10, held_out=len(data["y_test"]))


@contextmanager
def _restored_generators() -> Iterator[None]:
    """Restore the global generators of Python and NumPy, which mnist1d seeds."""
    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)
