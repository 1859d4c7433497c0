"""NCI60: gene expression of cancer cell lines, 57 rows of 6,830 genes (inside ISLP)."""

from functools import lru_cache
from typing import ClassVar

import torch

from reglab.data.base import TensorData
from reglab.data.files import package_file
from reglab.data.preprocessing import StandardizedColumns
from reglab.data.source import Source
from reglab.schema.errors import Setting

_LEAST_ROWS = 5  # smaller classes are left out


class Nci60(TensorData):
    """NCI60: gene expression of cancer cell lines, 57 rows of 6,830 genes (inside ISLP).

    7 of the 64 rows are left out: PROSTATE has two and UNKNOWN one, too few for a row each in training, validation and
    test; K562A-repro, K562B-repro, MCF7A-repro and MCF7D-repro have one each, and are repeated measurements of two cell
    lines (leukemia and breast) rather than types of cancer. The same 57 rows are kept for all fractions, so that all
    settings use one data set: BREAST 7, CNS 5, COLON 7, LEUKEMIA 6, MELANOMA 8, NSCLC 9, OVARIAN 6, RENAL 9.

    Source: Ross et al., Systematic variation in gene expression patterns in human cancer cell lines, Nature Genetics
    24, 2000; as in James, Witten, Hastie, Tibshirani and Taylor, An Introduction to Statistical Learning with
    Applications in Python, 2023.
    """

    inputs_description: ClassVar = (
        "Inputs (6830,), log ratios standardized on the training rows; eight classes: cancer types of 5 rows or more."
    )

    kind = "classification"
    dims = 1
    package: ClassVar = "ISLP"
    """Installed package whose files are read."""

    def load(self) -> Source:
        """Return the 57 rows.

        Raises:
            ConfigError: the package is not installed.
        """
        return _nci60()


@lru_cache(maxsize=1)  # read once in a sweep
def _nci60() -> Source:
    import numpy as np
    import pandas as pd

    files = [
        package_file(Nci60.package, f"data/{name}", Setting("data", "nci60"))
        for name in ("NCI60data.npy", "NCI60labs.csv")
    ]
    genes = np.load(files[0], allow_pickle=False)
    types = pd.read_csv(files[1])["label"].to_numpy(dtype=str)
    names, numbered, rows = np.unique(types, return_inverse=True, return_counts=True)
    kept = rows[numbered] >= _LEAST_ROWS
    names, numbered = np.unique(types[kept], return_inverse=True)
    return Source(
        StandardizedColumns(genes[kept]),
        torch.from_numpy(numbered.astype(np.int64)),
        classes=len(names),
        class_names=tuple(names.tolist()),
    )
