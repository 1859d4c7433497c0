"""NCI60: gene expression of cancer cell lines, 57 rows of 6,830 genes (inside ISLP)."""

from functools import lru_cache
from typing import ClassVar

import torch

from reglab.data.base import TensorData
from reglab.data.package_files import package_file
from reglab.data.source import Source
from reglab.data.standardize import Standardized

FEWEST = 5  # rows of a class that is kept


class Nci60(TensorData):
    """Inputs (6830,), log ratios standardized on the training rows; eight classes: cancer types of 5 rows or more.

    Left out are 7 of the 64 rows: PROSTATE has two and UNKNOWN one, too few for a row each in training, validation and
    test; K562A-repro, K562B-repro, MCF7A-repro and MCF7D-repro have one each, and are repeated measurements of two cell
    lines (leukemia and breast) rather than types of cancer. The same 57 rows are kept whatever the fractions, so that
    all settings are of one data set: BREAST 7, CNS 5, COLON 7, LEUKEMIA 6, MELANOMA 8, NSCLC 9, OVARIAN 6, RENAL 9.

    Source: Ross et al., Systematic variation in gene expression patterns in human cancer cell lines, Nature Genetics
    24, 2000; as in James, Witten, Hastie, Tibshirani and Taylor, An Introduction to Statistical Learning with
    Applications in Python, 2023.
    """

    kind = "classification"
    dims = 1
    package: ClassVar = "ISLP"
    """Whose files are read."""

    def load(self) -> Source:
        """The 57 rows.

        Raises:
            ConfigError: the package is not installed.
        """
        return _nci60()


@lru_cache(maxsize=1)  # read once in a sweep
def _nci60() -> Source:
    import numpy as np
    import pandas as pd

    folder = package_file(Nci60.package, "data/NCI60data.npy", "data=nci60").parent
    genes = np.load(folder / "NCI60data.npy", allow_pickle=False)
    types = pd.read_csv(package_file(Nci60.package, "data/NCI60labs.csv", "data=nci60"))["label"].to_numpy(dtype=str)
    names, numbered, rows = np.unique(types, return_inverse=True, return_counts=True)
    kept = rows[numbered] >= FEWEST
    names, numbered = np.unique(types[kept], return_inverse=True)
    return Source(
        Standardized(genes[kept]),
        torch.from_numpy(numbered.astype(np.int64)),
        classes=len(names),
        class_names=tuple(names.tolist()),
    )
