"""Batches by indexing tensors in memory, which is many times cheaper than a DataLoader."""

from collections.abc import Iterator

import torch
from torch import Tensor

from reglab.compat.torch import version
from reglab.schema.errors import ConfigError
from reglab.seeding import mix


class Batches:
    """A loader of (inputs, targets) that can be iterated over several times, and resumed within an epoch.

    The order of epoch e depends only on (seed, "order", e), so it is the same under every strategy. Lightning calls
    ``state_dict`` and ``load_state_dict`` with its checkpoints, and ``sampler.set_epoch`` before each epoch.

    Args:
        inputs: (n, ...).
        targets: (n,) or (n, ...).
        batch_size: rows of a batch, the last may be smaller; None: all rows at once, in order and not copied.
        seed: seed of the order; None: rows in order.

    Raises:
        ConfigError: while iterating, if rows were changed in place since the loader was made.

    Example:
        >>> [targets.tolist() for _, targets in Batches(torch.zeros(5, 2), torch.arange(5), batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    batch_sampler: None = None  # Lightning reads it from a loader with a sampler

    def __init__(self, inputs: Tensor, targets: Tensor, batch_size: int | None, seed: int | None = None) -> None:
        self.inputs, self.targets = inputs, targets
        self._versions = self._changes()
        self.rows = len(targets)
        self.batch_size = batch_size or max(self.rows, 1)
        self.shuffled = seed is not None and batch_size is not None
        self.seed = seed
        self.epoch = 0
        self.position = 0  # batches of this epoch that have been returned
        self._begun = False  # the next iteration starts another epoch
        self._resumed = False  # the next iteration continues at position
        self._announced = 0  # last argument of set_epoch

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def _changes(self) -> tuple[int, int]:
        """Return torch's counts of in-place changes, which a batch that is a view of the data shares."""
        return version(self.inputs), version(self.targets)

    def _check_unchanged(self) -> None:
        if self._changes() != self._versions:
            raise ConfigError(
                "model",
                "changes its batch in place, and so the rows of the data set",
                "copy the inputs first, as in x = x - 1 instead of x -= 1",
            )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self._iterate():
            self._check_unchanged()
            yield batch
        self._check_unchanged()

    def _iterate(self) -> Iterator[tuple[Tensor, Tensor]]:
        # A generator: Lightning calls iter() more often than it takes batches, so an epoch begins with its first batch.
        if self._begun and not self._resumed:
            self.epoch, self.position = self.epoch + 1, 0
        self._begun, self._resumed = True, False
        first = self.position * self.batch_size
        if not self.shuffled:
            for start in range(first, self.rows, self.batch_size):
                self.position += 1
                yield self._slice(start)
            return
        for rows in self.order(self.epoch)[first:].to(self.targets.device).split(self.batch_size):
            if not len(rows):  # the split of an empty tensor has one empty piece
                return
            self.position += 1
            yield self.inputs.index_select(0, rows), self.targets.index_select(0, rows)

    def _slice(self, start: int) -> tuple[Tensor, Tensor]:
        if self.batch_size >= self.rows:
            return self.inputs, self.targets
        stop = start + self.batch_size
        return self.inputs[start:stop], self.targets[start:stop]

    def order(self, epoch: int) -> Tensor:
        """Return row numbers in the order of an epoch, int64 (n,) on the CPU."""
        if not self.shuffled:
            return torch.arange(self.rows)
        assert self.seed is not None
        generator = torch.Generator().manual_seed(mix(self.seed, "order", epoch))
        return torch.randperm(self.rows, generator=generator)

    @property
    def sampler(self) -> "Batches":
        """The loader itself: Lightning calls ``set_epoch`` on a loader's sampler before each epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of a new loader; later on each iteration counts epochs itself.

        After ``load_state_dict``, a number other than before the checkpoint means that the epoch was complete, even if
        batches of it are left (as with ``limit_train_batches``). The number itself is not used then: Lightning 2.6
        counts one too many when it resumes from the end of an epoch under ``max_steps``.
        """
        if not self._begun:
            self.epoch = epoch
        elif epoch != self._announced:
            self._resumed = False
        self._announced = epoch

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, the number of its batches that have been returned, and the last argument of `set_epoch`."""
        return {"epoch": self.epoch, "position": self.position, "announced": self._announced}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue at a state: the next iteration returns the rest of that epoch, or the next epoch if none is left."""
        self.epoch, self.position, self._announced = state["epoch"], state["position"], state["announced"]
        self._begun = True
        self._resumed = self.position < len(self)
