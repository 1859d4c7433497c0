"""The negative control: inputs and targets that are independent of each other."""

from typing import Any, ClassVar

import torch

from reglab.data.base import TensorData
from reglab.data.source import Source
from reglab.seeding import mix

TRAIN_ROWS, TEST_ROWS, FEATURES = 100, 5000, 10


class SeedNoise(TensorData):
    """The negative control: inputs and targets that are independent of each other.

    100 training rows and 5,000 test rows, unless ``test_fraction`` is given; no validation by default. The best
    possible test MSE is 1.0, that of predicting 0: below .95 the strategy has used test rows.
    """

    inputs_description: ClassVar = (
        "Independent N(0, 1) inputs (10,) and targets, drawn from the split seed, not standardized."
    )

    kind = "regression"
    dims = 1

    def __init__(self, *, val_fraction: float = 0.0, test_fraction: float | None = None, **common: Any) -> None:
        super().__init__(val_fraction=val_fraction, test_fraction=test_fraction, **common)

    def load(self) -> Source:
        """Return rows drawn from the split seed."""
        generator = torch.Generator().manual_seed(mix(self.split_seed, "seed_noise"))
        inputs = torch.randn(TRAIN_ROWS + TEST_ROWS, FEATURES, generator=generator)
        targets = torch.randn(TRAIN_ROWS + TEST_ROWS, generator=generator)
        return Source(inputs, targets, held_out=TEST_ROWS, fresh=True)
