"""Breast cancer in Wisconsin: a table of 569 rows (UCI, through scikit-learn)."""

from functools import lru_cache
from typing import ClassVar

import torch

from reglab.data.base import TensorData
from reglab.data.preprocessing import StandardizedColumns
from reglab.data.source import Source


class BreastCancer(TensorData):
    """Breast cancer in Wisconsin: a table of 569 rows (UCI, through scikit-learn).

    Source: Wolberg, Mangasarian, Street and Street, Breast Cancer Wisconsin (Diagnostic), UCI, 1995.
    """

    inputs_description: ClassVar = (
        "Inputs (30,), standardized on the training rows; two classes (0 malignant, 1 benign)."
    )

    kind = "classification"
    dims = 1

    def load(self) -> Source:
        """Return all 569 rows."""
        return _breast_cancer()


@lru_cache(maxsize=1)
def _breast_cancer() -> Source:
    from sklearn.datasets import load_breast_cancer

    loaded = load_breast_cancer()
    columns = StandardizedColumns(loaded.data, names=loaded.feature_names)
    return Source(columns, torch.from_numpy(loaded.target).long(), classes=2)
