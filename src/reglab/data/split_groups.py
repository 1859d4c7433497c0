"""Rows of one group stay together: patients, speakers, sites."""

from collections.abc import Sequence

import numpy as np

from reglab.data.splits import Rows, Wish, check_kept, check_train, check_train_size, draw_rows, share
from reglab.schema.errors import ConfigError, Setting
from reglab.seeding import mix

TRIES = 100


class Groups:
    """Whole groups at random, so that no group is in two parts.

    Groups are gone through in random order, for the test first, then for validation; a part takes each group that
    brings it nearer to its share of all rows, and at least one (the smallest, where none does). Training gets the other
    groups. Fractions are thus met as nearly as whole groups allow in that order. Where a class would have no row to
    train on, the order is drawn anew, 100 times at the most. scikit-learn's ``GroupShuffleSplit`` counts groups, not
    rows, and its ``StratifiedGroupKFold`` knows shares of 1/k alone.

    ``train_size`` draws from the training rows, whatever their group; validation and test do not depend on it.

    Args:
        column: its name, for messages.
        numbered: group of each row, int64 (n,) from 0.
        names: of the groups.
    """

    def __init__(self, column: str, numbered: np.ndarray, names: Sequence[str]) -> None:
        self.key = f"data.split_column={column}"
        self.numbered, self.names = numbered, names
        self.sizes = np.bincount(numbered, minlength=len(names))

    def split(self, wish: Wish) -> Rows:
        """The rows of each part, in random order.

        Raises:
            ConfigError: fewer groups than parts, a class without training rows, or too large a ``train_size``.
        """
        if wish.test_fraction is None:
            raise ConfigError(
                Setting("data.test_fraction", None), f"{self.key} splits all rows", "give a share such as 0.2"
            )
        total = len(self.numbered)
        wanted = [share("test_fraction", wish.test_fraction, total), share("val_fraction", wish.val_fraction, total)]
        self._check_groups(1 + sum(rows > 0 for rows in wanted))
        generator = np.random.default_rng(mix(wish.split_seed, "split"))
        for _ in range(TRIES):
            test, val, train = (generator.permutation(self._rows(groups)) for groups in self._drawn(wanted, generator))
            if wish.classes is None or np.isin(wish.classes, wish.classes[train]).all():
                break
        remedy = f"in {TRIES} draws some class never was; lower the fractions, or merge or drop rare classes"
        check_train(wish.classes, train, wish.class_names, self.key, remedy)
        check_train_size(wish.train_size, Rows(train, val, test))
        if wish.train_size is not None:
            sampler = np.random.default_rng(mix(wish.split_seed, "train_size"))
            train, _ = draw_rows(np.sort(train), wish.classes, wish.train_size, sampler)
            check_kept(wish.classes, train, wish.class_names)
        return Rows(train, val, test)

    def _check_groups(self, parts: int) -> None:
        count = len(self.names)
        if count < parts:
            what = f"one group ({self.names[0]})" if count == 1 else f"{count} groups"
            raise ConfigError(
                self.key,
                f"its {len(self.numbered)} rows are of {what}, too few for {parts} parts",
                "name a column with more groups, or set a fraction to 0",
            )

    def _rows(self, groups: Sequence[int]) -> np.ndarray:
        return np.flatnonzero(np.isin(self.numbered, groups))

    def _drawn(self, wanted: Sequence[int], generator: np.random.Generator) -> list[list[int]]:
        """Groups for each wanted number of rows, then those that are left to train on."""
        left = generator.permutation(len(self.names)).tolist()
        parts = []
        for place, rows in enumerate(wanted):
            later = 1 + sum(number > 0 for number in wanted[place + 1 :])
            taken = self._nearest(left, rows, len(left) - later) if rows else []
            left = [group for group in left if group not in taken]
            parts.append(taken)
        return [*parts, left]

    def _nearest(self, groups: Sequence[int], rows: int, most: int) -> list[int]:
        """At most so many of the groups, those that in their order bring it nearer to a number of rows."""
        taken: list[int] = []
        filled = 0
        for group in groups:
            if len(taken) < most and abs(filled + self.sizes[group] - rows) < abs(filled - rows):
                taken.append(group)
                filled += self.sizes[group]
        return taken or [min(groups, key=lambda group: int(self.sizes[group]))]
