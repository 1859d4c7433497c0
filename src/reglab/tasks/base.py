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

    @abstractmethod
    def figures(self, outputs: Tensor, targets: Tensor, *, full: bool) -> dict[str, Tensor]:
        """Scalars by name for a whole part of the data.

        Args:
            outputs: what the model says, (rows, classes) or (rows,).
            targets: what is true, (rows,).
            full: the costlier figures too, which are wanted once and not every epoch.
        """
