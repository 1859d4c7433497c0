"""What a kind of task has to say: its loss and its figures."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor


class Task(ABC):
    """A kind of task: the mean loss of a batch, and the figures of a whole part of the data."""

    kind: ClassVar[str]

    @abstractmethod
    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar; runs under ``torch.func.vmap``."""

    def kept(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What evaluation keeps of a batch until the part is whole, rows first: what `figures` is given of all.

        A copy in float64, so that a network may write into its outputs again.
        """
        return exact(outputs.detach(), copy=True), targets

    @abstractmethod
    def figures(self, outputs: Tensor, targets: Tensor, *, full: bool) -> dict[str, Tensor]:
        """Return float64 scalars by name for a whole part of the data, computed in float64 for any model precision.

        Args:
            outputs: what `kept` gave of what the model says, (rows, classes) or (rows,).
            targets: what it gave of what is true, (rows,).
            full: the costlier figures too, which are wanted once and not every epoch.
        """


def exact(values: Tensor, *, copy: bool = False) -> Tensor:
    """Return the values in float64, on the CPU where their device has no such numbers.

    Sums and differences of squares in float32 lose all digits if values are far from 0.
    """
    return values.to("cpu" if values.device.type == "mps" else values.device, torch.float64, copy=copy)
