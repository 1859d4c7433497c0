"""A data set before it is split, and one part of it after."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from reglab.data.splits import Rows, Wish

IGNORED = -100  # a target that does not count, as in torch's cross entropy


class Splitter(Protocol):
    """Splits rows by what a column of the data says of them."""

    def split(self, wish: Wish) -> Rows:
        """The rows of each part.

        Raises:
            ConfigError: the column does not allow what is asked for.
        """


@dataclass(frozen=True)
class Source:
    """A data set before it is split.

    Args:
        inputs: all rows, float32 (n, *shape) or tokens int64 (n, length), or a function of the training row numbers
            that gives them (for what has to be fitted on these rows).
        targets: int64 (n,) from 0 to classes - 1, or float (n,); of sequences int64 (n, length), where `IGNORED` ones
            do not count.
        classes: number of classes; None: a regression.
        standardize_target: regression: train on targets of mean 0 and variance 1 over the training rows.
        held_out: how many rows at the end are the data set's own test part, used where the test fraction is None.
        parts: names of the data set's predefined parts, its own test part last; empty if it has none.
        fresh: every split seed has rows of its own, as if from an endless data set.
        class_names: the classes in order, where they have names other than their numbers.
        splitter: splits the rows; None: they are drawn at random, and classes keep their shares.
        sequence: each row is a sequence of tokens with a target at every place: language modeling.
        remarks: sentences on what a reader of the results should know of the data.
    """

    inputs: Tensor | Callable[[np.ndarray], Tensor]
    targets: Tensor
    classes: int | None = None
    standardize_target: bool = False
    held_out: int = 0
    parts: tuple[str, ...] = ()
    fresh: bool = False
    class_names: tuple[str, ...] = ()
    splitter: Splitter | None = None
    sequence: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of task."""
        if self.sequence:
            return "language modeling"
        return "regression" if self.classes is None else "classification"


@dataclass(frozen=True)
class Part:
    """Rows of one part: inputs float32 (n, *shape), targets int64 or float32 (n,); tokens are int64 (n, length)."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device | str) -> "Part":
        """The same rows on a device."""
        return Part(self.inputs.to(device), self.targets.to(device))
