"""Diabetes progression: a table of 442 patients (through scikit-learn)."""

from functools import lru_cache
from typing import ClassVar

import torch

from reglab.data.base import TensorData
from reglab.data.preprocessing import StandardizedColumns
from reglab.data.source import Source


class Diabetes(TensorData):
    """Diabetes progression: a table of 442 patients (through scikit-learn).

    Source: Efron, Hastie, Johnstone and Tibshirani, Least Angle Regression, Annals of Statistics, 2004.
    """

    inputs_description: ClassVar = (
        "Inputs (10,) and the target (disease progression after a year, 25 to 346) standardized on the training rows."
    )

    kind = "regression"
    dims = 1

    def load(self) -> Source:
        """Return all 442 rows."""
        return _diabetes()


@lru_cache(maxsize=1)
def _diabetes() -> Source:
    from sklearn.datasets import load_diabetes

    # Unscaled: scikit-learn's default scaling is computed from the test rows, too.
    loaded = load_diabetes(scaled=False)
    columns = StandardizedColumns(loaded.data, names=loaded.feature_names)
    return Source(columns, torch.from_numpy(loaded.target), standardize_target=True)
