"""The past is trained on, the future predicted."""

import numpy as np

from reglab.data.split_parts import in_one_order
from reglab.data.splits import Rows, Wish, check_kept, check_train, check_train_size, share
from reglab.schema.errors import ConfigError, Setting


class Time:
    """The latest rows are the test, those before them validation, the earliest training; the same for every seed.

    Rows of one moment stay together, so each border lies between two moments: where the test (then validation) comes
    nearest to its share of all rows, with at least one moment in each part; of two that are as near, the later.
    ``train_size`` keeps the latest of the training rows, those next to what is predicted (of one moment, those further
    down in the table); validation and test do not depend on it.

    Args:
        column: its name, for messages.
        moments: of each row (n,), as numbers.
    """

    def __init__(self, column: str, moments: np.ndarray) -> None:
        self.key = f"data.split_column={column}"
        self.moments = moments

    def split(self, wish: Wish) -> Rows:
        """The rows of each part; those of training in an order that is the same for every seed.

        Raises:
            ConfigError: fewer moments than parts, a class without training rows, or too large a ``train_size``.
        """
        if wish.test_fraction is None:
            raise ConfigError(
                Setting("data.test_fraction", None), f"{self.key} splits all rows", "give a share such as 0.2"
            )
        total = len(self.moments)
        wanted = [share("test_fraction", wish.test_fraction, total), share("val_fraction", wish.val_fraction, total)]
        moments, counts = np.unique(self.moments, return_counts=True)
        parts = 1 + sum(rows > 0 for rows in wanted)
        if len(moments) < parts:
            raise ConfigError(
                self.key,
                f"its {total} rows are of {len(moments)} moment{'s' * (len(moments) > 1)}, too few for {parts} parts",
                "name a column with more, or set a fraction to 0",
            )
        test = _latest(counts, wanted[0], 1 + (wanted[1] > 0))
        val = _latest(counts[: len(counts) - test], wanted[1], 1)
        order = np.argsort(self.moments, kind="stable")
        borders = np.cumsum([counts[: len(counts) - test - val].sum(), counts[len(counts) - test - val :][:val].sum()])
        rows = Rows(*np.split(order, borders))
        remedy = "its rows are all later; lower the fractions, or drop the class"
        check_train(wish.classes, rows.train, wish.class_names, self.key, remedy)
        check_train_size(wish.train_size, rows)
        kept = rows.train if wish.train_size is None else rows.train[-wish.train_size :]
        check_kept(wish.classes, kept, wish.class_names)
        return Rows(in_one_order(kept), rows.val, rows.test)


def _latest(counts: np.ndarray, rows: int, left: int) -> int:
    """How many of the last moments come nearest to a number of rows, where some have to be left; 0 for no rows."""
    if not rows:
        return 0
    sums = np.cumsum(counts[left:][::-1])
    return 1 + int(np.argmin(np.abs(sums - rows)))
