"""Wines of three growers: a table of 178 rows (UCI, through scikit-learn)."""

from functools import lru_cache
from typing import ClassVar

import torch

from reglab.data.base import TensorData
from reglab.data.preprocessing import StandardizedColumns
from reglab.data.source import Source


class Wine(TensorData):
    """Wines of three growers: a table of 178 rows (UCI, through scikit-learn).

    Source: Aeberhard and Forina, Wine, UCI, 1992.
    """

    inputs_description: ClassVar = (
        "Inputs (13,), chemical measures standardized on the training rows; three classes (growers)."
    )

    kind = "classification"
    dims = 1

    def load(self) -> Source:
        """Return all 178 rows."""
        return _wine()


@lru_cache(maxsize=1)
def _wine() -> Source:
    from sklearn.datasets import load_wine

    loaded = load_wine()
    columns = StandardizedColumns(loaded.data, names=loaded.feature_names)
    return Source(columns, torch.from_numpy(loaded.target).long(), classes=3)
