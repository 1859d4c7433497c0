"""Batches cut from tensors by indexing: for data that fits into memory, many times cheaper than a DataLoader."""

from collections.abc import Iterator

import torch
from torch import Tensor

from reglab.compat.torch import version
from reglab.schema.errors import ConfigError
from reglab.seeding import mix


class Batches:
    """A re-iterable loader of (inputs, targets).

    Epoch e is a permutation that depends on (seed, "order", e) alone, so it is the same under every strategy, and a
    checkpoint needs two numbers to go on inside an epoch. Lightning finds ``state_dict`` and ``load_state_dict`` (it
    saves and restores them with its own), and announces each epoch through ``sampler.set_epoch``.

    Args:
        inputs: (n, ...).
        targets: (n,).
        batch_size: rows a batch, the last one may be smaller; None: all rows at once, in their order and not copied.
        seed: of the order; None: rows in their order.

    Raises:
        ConfigError: from an iteration, where rows were changed in place since the loader was made.
    """

    batch_sampler: None = None  # Lightning looks for it where there is a sampler

    def __init__(self, inputs: Tensor, targets: Tensor, batch_size: int | None, seed: int | None = None) -> None:
        self.inputs, self.targets = inputs, targets
        self._versions = self._changes()
        self.rows = len(targets)
        self.batch_size = batch_size or max(self.rows, 1)
        self.shuffled = seed is not None and batch_size is not None
        self.seed = seed
        self.epoch = 0
        self.position = 0  # batches of this epoch that have been handed out
        self._begun = False  # the next pass starts another epoch
        self._resumed = False  # the next pass goes on at position
        self._announced = 0  # last number given to set_epoch

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def _changes(self) -> tuple[int, int]:
        """Torch's counts of changes in place; those of a batch that was not copied count here."""
        return version(self.inputs), version(self.targets)

    def _check(self) -> None:
        if self._changes() != self._versions:
            raise ConfigError(
                "model",
                "changes its batch in place, and with it rows of the data set",
                "copy what it is given first, as in x = x - 1 in place of x -= 1",
            )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self._cut():
            self._check()
            yield batch
        self._check()

    def _cut(self) -> Iterator[tuple[Tensor, Tensor]]:
        # Lazy: Lightning calls iter() more often than it draws, so an epoch counts from its first batch.
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
            if not len(rows):  # an empty tensor splits into one empty piece
                return
            self.position += 1
            yield self.inputs.index_select(0, rows), self.targets.index_select(0, rows)

    def _slice(self, start: int) -> tuple[Tensor, Tensor]:
        if self.batch_size >= self.rows:
            return self.inputs, self.targets
        stop = start + self.batch_size
        return self.inputs[start:stop], self.targets[start:stop]

    def order(self, epoch: int) -> Tensor:
        """Row numbers (n,) in the order in which the epoch visits them, int64 on the CPU."""
        if not self.shuffled:
            return torch.arange(self.rows)
        assert self.seed is not None
        generator = torch.Generator().manual_seed(mix(self.seed, "order", epoch))
        return torch.randperm(self.rows, generator=generator)

    @property
    def sampler(self) -> "Batches":
        """Itself: Lightning calls ``set_epoch`` on a loader's sampler before each epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Told which epoch comes: a new loader begins there; later on each pass counts itself.

        After a restart another number than before says that the epoch was over, even where batches are left of it (as
        with ``limit_train_batches``). The number itself is not trusted then: restarted from the end of an epoch under
        ``max_steps``, Lightning 2.6 counts one too many.
        """
        if not self._begun:
            self.epoch = epoch
        elif epoch != self._announced:
            self._resumed = False
        self._announced = epoch

    def state_dict(self) -> dict[str, int]:
        """Where the loader is: epoch, batches of it that have been handed out, and what the epoch was announced as."""
        return {"epoch": self.epoch, "position": self.position, "announced": self._announced}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there: the next pass gives the rest of that epoch, or the next one where nothing is left."""
        self.epoch, self.position, self._announced = state["epoch"], state["position"], state["announced"]
        self._begun = True
        self._resumed = self.position < len(self)
