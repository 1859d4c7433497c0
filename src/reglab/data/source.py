"""A data set before the split, its parts after the split, and caveats about the parts."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reglab.data.splitting.random import Rows, Splitter
from reglab.schema.task_kinds import CLASSIFICATION, MULTILABEL, REGRESSION
from reglab.schema.text import join_names, join_options

IGNORED = -100  # a target that is not counted, as in torch's cross entropy


class FittedInputs(ABC):
    """Inputs of all rows that depend on which rows are for training, such as standardized columns."""

    @abstractmethod
    def tensor(self, train: np.ndarray) -> Tensor:
        """Return all rows, float32 (n, *shape), fitted on the row numbers `train`, int64 (rows,)."""

    @abstractmethod
    def describe(self, train: np.ndarray) -> list[dict[str, Any]]:
        """Return for each input its ``name`` and the values fitted on the row numbers `train`, for JSON."""

    def caveats(self, rows: Rows) -> Iterator[str]:
        """Yield caveats on these parts for readers of the results; by default none."""
        return iter(())


@dataclass(frozen=True)
class Source:
    """A data set before it is split.

    Args:
        inputs: all rows, float32 (n, *shape) or tokens int64 (n, length); or inputs that are fitted on training rows.
        targets: int64 (n,) from 0 to classes - 1, or float (n,); of sequences int64 (n, length), where `IGNORED` ones
            are not counted.
        classes: number of classes; None: a regression.
        standardize_target: regression: train on targets of mean 0 and variance 1 over the training rows.
        held_out: number of rows at the end that are the predefined test; used if the test fraction is None.
        parts: names of the predefined parts, the predefined test last; empty if there are none.
        fresh: every split seed draws new rows, as if from an endless data set.
        class_names: names of the classes, in order; empty: their numbers.
        labels: names of the labels of a multi-label classification, whose targets are 0 or 1, float32 (n, labels).
        splitter: splits the rows; None: `RandomSplit`.
        kind: kind of the task; None: the one that the class of the data set declares, or else the one that follows from
            `classes` and `labels`.
        notes: messages on the data for readers of the results.
    """

    inputs: Tensor | FittedInputs
    targets: Tensor
    classes: int | None = None
    standardize_target: bool = False
    held_out: int = 0
    parts: tuple[str, ...] = ()
    fresh: bool = False
    class_names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    splitter: Splitter | None = None
    kind: str | None = None
    notes: tuple[str, ...] = ()

    def task_kind(self, declared: str | None) -> str:
        """Return the kind of task.

        Args:
            declared: the kind that the class of the data set declares; None: none.
        """
        if self.kind or declared:
            return self.kind or str(declared)
        if self.labels:
            return MULTILABEL.name
        return REGRESSION.name if self.classes is None else CLASSIFICATION.name


@dataclass(frozen=True)
class Part:
    """Rows of one part.

    Args:
        inputs: float32 (n, *shape), or tokens int64 (n, length).
        targets: int64 or float32 (n,), labels float32 (n, labels), or tokens int64 (n, length).
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device | str) -> "Part":
        """Return the same rows on a device."""
        return Part(self.inputs.to(device), self.targets.to(device))


def pooled_part_caveats(source: Source, test_fraction: float | None) -> Iterator[str]:
    """Report predefined parts (such as train and validation) that are pooled and split again.

    Args:
        source: the data set.
        test_fraction: share of rows for the test; None: the predefined test is used.
    """
    held_out = source.held_out and source.splitter is None and test_fraction is None
    pooled = source.parts[:-1] if held_out else source.parts
    if len(pooled) < 2:
        return
    if held_out:
        yield f"the parts {join_names(pooled)} are pooled; validation rows are drawn from them by data.split_seed"
    elif source.splitter is not None or not source.held_out:
        yield f"the parts {join_names(pooled)} are pooled and split again"
    else:
        yield (
            f"the parts {join_names(pooled)} are pooled and split again by data.split_seed; data.test_fraction=null "
            f"tests on {pooled[-1]}"
        )


def absent_class_caveats(targets: np.ndarray, class_names: Sequence[str], rows: Rows) -> Iterator[str]:
    """Report validation and test parts that lack classes.

    Args:
        targets: class of each row, int64 (n,).
        class_names: names of the classes, in order; empty: their numbers.
        rows: row numbers of each part.
    """
    classes = np.unique(targets)
    names = [str(class_names[number] if class_names else number) for number in classes]
    for part, numbers in (("validation", rows.val), ("test", rows.test)):
        present = np.isin(classes, targets[numbers])
        if present.sum() == 1:
            name = names[int(np.flatnonzero(present)[0])]
            yield f"all rows of the {part} part are of one class ({name}); its metrics say little about other classes"
        elif len(numbers) and not present.all():
            absent = [name for name, is_present in zip(names, present, strict=True) if not is_present]
            yield f"the {part} part has no row of class {join_options(absent)}; its metrics say nothing about it"
