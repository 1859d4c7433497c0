"""The parts that a column names: a split that others have published."""

import numpy as np

from reglab.data.axes import FRACTION
from reglab.data.splits import (
    NO_OWN_TEST,
    Rows,
    Wish,
    check_classes,
    check_kept,
    check_train,
    check_train_size,
    draw_rows,
    share,
)
from reglab.schema.errors import ConfigError, Setting
from reglab.seeding import mix

PARTS = {"val": "validation", "test": "test"}
WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    "test": "test",
}


class Parts:
    """The rows that the column gives to training, validation and test; they are the same for every seed.

    A part that the column does not name is drawn from its training rows: the fraction is a share of these, and classes
    keep their shares. A fraction of a part that the column names is refused, unless it is the default, or 0: that stage
    is skipped, and its rows are left out. ``train_size`` draws from the training rows; validation and test do not
    depend on it.

    Args:
        column: its name, for messages.
        parts: of each row (n,): train, val or test.
    """

    def __init__(self, column: str, parts: np.ndarray) -> None:
        self.key = f"data.split_column={column}"
        self.parts = parts

    def split(self, wish: Wish) -> Rows:
        """The rows of each part; those of training in an order that is the same for every seed.

        Raises:
            ConfigError: no training rows, a class without any, no test rows where ``test_fraction`` is None, a fraction
                of a part that the column names, or too large a ``train_size``.
        """
        train, val, test = (np.flatnonzero(self.parts == part) for part in ("train", "val", "test"))
        if not len(train):
            raise ConfigError(self.key, "gives no row to train", "write train in the rows to train on")
        fractions = {"test": wish.test_fraction, "val": wish.val_fraction}
        if fractions["test"] is None and not len(test):
            raise ConfigError(NO_OWN_TEST)
        named = {"test": test, "val": val}
        for part, fraction in fractions.items():
            if len(named[part]) and fraction not in (None, 0, FRACTION):
                raise ConfigError(
                    Setting(f"data.{part}_fraction", fraction),
                    f"{self.key} names the {PARTS[part]} rows",
                    "leave it out, or set 0 to skip them",
                )
        drawn = {part: fraction for part, fraction in fractions.items() if fraction and not len(named[part])}
        if drawn:
            check_classes(wish.classes, train, 1 + len(drawn), wish.class_names)
        generator, total = np.random.default_rng(mix(wish.split_seed, "split")), len(train)
        for part, fraction in drawn.items():
            count = share(f"{part}_fraction", fraction, total)
            named[part], train = draw_rows(np.sort(train), wish.classes, count, generator)
        named = {part: rows if fractions[part] != 0 else rows[:0] for part, rows in named.items()}
        if not len(train):
            raise ConfigError(Setting("data.val_fraction", wish.val_fraction), "leaves no row to train on", "lower it")
        remedy = "give it some, or drop the class"
        check_train(wish.classes, train, wish.class_names, self.key, remedy)
        check_train_size(wish.train_size, Rows(train, named["val"], named["test"]))
        if wish.train_size is None:
            train = in_one_order(train)
        else:
            sampler = np.random.default_rng(mix(wish.split_seed, "train_size"))
            train, _ = draw_rows(np.sort(train), wish.classes, wish.train_size, sampler)
            check_kept(wish.classes, train, wish.class_names)
        return Rows(train, named["val"], named["test"])


def in_one_order(rows: np.ndarray) -> np.ndarray:
    """Row numbers in a random order that does not depend on the seed: the first of them are a sample of all, and the
    hash of a split that is the same for every seed is the same, too.
    """
    return np.random.default_rng(mix(0, "order")).permutation(np.sort(rows))
