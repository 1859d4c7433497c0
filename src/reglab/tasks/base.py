"""What a kind of task has to say: its loss and its figures."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor


class Task(ABC):
    """A kind of task: the mean loss of a batch, and the figures of a whole part of the data."""

    kind: ClassVar[str]

    @abstractmethod
    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar; runs under ``torch.func.vmap``."""

    def kept(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What evaluation keeps of a batch until the part is whole, rows first: what `figures` is given of all."""
        return outputs, targets

    @abstractmethod
    def figures(self, outputs: Tensor, targets: Tensor, *, full: bool) -> dict[str, Tensor]:
        """Scalars by name for a whole part of the data.

        Args:
            outputs: what `kept` gave of what the model says, (rows, classes) or (rows,).
            targets: what it gave of what is true, (rows,).
            full: the costlier figures too, which are wanted once and not every epoch.
        """
