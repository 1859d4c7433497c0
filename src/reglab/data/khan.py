"""Khan: gene expression of four kinds of small round blue cell tumours, 83 rows of 2,308 genes (inside ISLP)."""

from functools import lru_cache
from typing import ClassVar

import torch

from reglab.data.base import TensorData
from reglab.data.files import package_file
from reglab.data.preprocessing import StandardizedColumns
from reglab.data.source import Source
from reglab.schema.errors import Setting

_TEST_ROWS = 20  # the published test, after 63 training rows


class Khan(TensorData):
    """Khan: gene expression of four kinds of small round blue cell tumours, 83 rows of 2,308 genes (inside ISLP).

    63 rows, then the published 20 test rows, which are the test part where ``test_fraction`` is None. The classes are
    Burkitt lymphoma (BL), Ewing's sarcoma (EWS), neuroblastoma (NB) and rhabdomyosarcoma (RMS): 11, 29, 18 and 25 rows.

    Source: Khan et al., Classification and diagnostic prediction of cancers using gene expression profiling and
    artificial neural networks, Nature Medicine 7, 2001; as in James, Witten, Hastie, Tibshirani and Taylor, An
    Introduction to Statistical Learning with Applications in Python, 2023.
    """

    inputs_description: ClassVar = "Inputs (2308,), log ratios standardized on the training rows; four classes."

    kind = "classification"
    dims = 1
    package: ClassVar = "ISLP"
    """Installed package whose files are read."""

    def load(self) -> Source:
        """Return all 83 rows, those of the published test at the end.

        Raises:
            ConfigError: the package is not installed.
        """
        return _khan()


@lru_cache(maxsize=1)  # read once in a sweep
def _khan() -> Source:
    import numpy as np
    import pandas as pd

    def read(prefix: str) -> np.ndarray:
        names = [f"data/Khan_{prefix}{part}.csv" for part in ("train", "test")]
        files = [package_file(Khan.package, name, Setting("data", "khan")) for name in names]
        return np.concatenate([pd.read_csv(file).to_numpy(np.float64) for file in files])

    genes, classes = read("x"), read("y")
    labels = torch.from_numpy(classes[:, 0].astype(np.int64) - 1)  # 1 to 4 in the files
    return Source(
        StandardizedColumns(genes),
        labels,
        classes=4,
        held_out=_TEST_ROWS,
        class_names=("BL", "EWS", "NB", "RMS"),
    )
