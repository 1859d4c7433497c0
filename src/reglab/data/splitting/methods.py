"""Splits by the cells of a column: whole groups, named parts, or time."""

from collections.abc import Sequence

import numpy as np

from reglab.data.settings import DEFAULT_FRACTION
from reglab.data.splitting.random import (
    Rows,
    SplitSettings,
    check_classes,
    check_kept,
    check_train,
    check_train_size,
    count_rows,
    draw_rows,
    keep_train_rows,
    no_predefined_test,
)
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text import pluralize
from reglab.seeding import mix

_DRAWS = 100  # random orders of groups, until every class has a training row
_PART_NAMES = {"val": "validation", "test": "test"}


class GroupSplit:
    """Whole groups at random, such as patients, speakers or sites: no group is in two parts.

    Groups are visited in random order, for the test first, then for validation. A part takes a group if this brings it
    nearer to its share of all rows, and takes at least one (the smallest, if none does). The other groups are for
    training. If a class has no training row, another order is drawn, at most 100 times. scikit-learn has no such split:
    the fractions of ``GroupShuffleSplit`` count groups, not rows (tests/data/test_scikit_learn.py), and
    ``StratifiedGroupKFold`` has shares of 1/k only.

    ``train_size`` draws from the training rows, whatever their group; it changes neither validation nor test.

    Args:
        column: name of the column, for messages.
        numbers: group of each row, int64 (n,) from 0.
        names: names of the groups.
    """

    def __init__(self, column: str, numbers: np.ndarray, names: Sequence[str]) -> None:
        self.setting = Setting("data.split_column", column)
        self.numbers, self.names = numbers, names
        self.sizes = np.bincount(numbers, minlength=len(names))

    def split(self, settings: SplitSettings) -> Rows:
        """Return the rows of each part, in random order.

        Raises:
            ConfigError: fewer groups than parts, a class without training rows, or too large a ``train_size``.
        """
        wanted = _rows_held_out(settings, len(self.numbers), self.setting)
        self._check_number(1 + sum(rows > 0 for rows in wanted))
        generator = np.random.default_rng(mix(settings.split_seed, "split"))
        for _ in range(_DRAWS):
            test, val, train = (
                generator.permutation(self._rows_of(groups)) for groups in self._draw(wanted, generator)
            )
            if settings.classes is None or np.isin(settings.classes, settings.classes[train]).all():
                break
        remedy = f"lower the fractions, or merge or drop rare classes ({_DRAWS} draws were tried)"
        check_train(settings.classes, train, settings.class_names, self.setting, remedy)
        check_train_size(settings.train_size, Rows(train, val, test))
        if settings.train_size is not None:
            train = keep_train_rows(np.sort(train), settings)
        return Rows(train, val, test)

    def _check_number(self, parts: int) -> None:
        count = len(self.names)
        if count < parts:
            groups = f"one group ({self.names[0]})" if count == 1 else f"{count} groups"
            raise ConfigError(
                self.setting,
                f"its {len(self.numbers)} rows are of {groups}, too few for {parts} parts",
                "name a column with more groups, or set a fraction to 0",
            )

    def _rows_of(self, groups: Sequence[int]) -> np.ndarray:
        return np.flatnonzero(np.isin(self.numbers, groups))

    def _draw(self, wanted: Sequence[int], generator: np.random.Generator) -> list[list[int]]:
        """Return the groups of test, validation and training; the first two have about the given numbers of rows."""
        remaining = generator.permutation(len(self.names)).tolist()
        parts = []
        for i, rows in enumerate(wanted):
            later_parts = 1 + sum(number > 0 for number in wanted[i + 1 :])
            taken = self._nearest(remaining, rows, len(remaining) - later_parts) if rows else []
            remaining = [group for group in remaining if group not in taken]
            parts.append(taken)
        return [*parts, remaining]

    def _nearest(self, groups: Sequence[int], rows: int, most: int) -> list[int]:
        """Return at most `most` of the groups, each of which brings the sum of their sizes nearer to `rows`."""
        taken: list[int] = []
        filled = 0
        for group in groups:
            if len(taken) < most and abs(filled + self.sizes[group] - rows) < abs(filled - rows):
                taken.append(group)
                filled += self.sizes[group]
        return taken or [min(groups, key=lambda group: int(self.sizes[group]))]


class PartSplit:
    """Predefined parts: the training, validation and test rows that a column names, the same for every seed.

    A part that the column does not name is drawn from its training rows, stratified by class: the fraction is a share
    of these. A fraction of a part that the column names is refused, unless it is the default, or 0: then that stage is
    skipped, and its rows are left out. ``train_size`` draws from the training rows; it changes neither validation nor
    test.

    Args:
        column: name of the column, for messages.
        parts: part of each row, str (n,): train, val or test.
    """

    def __init__(self, column: str, parts: np.ndarray) -> None:
        self.setting = Setting("data.split_column", column)
        self.parts = parts

    def split(self, settings: SplitSettings) -> Rows:
        """Return the rows of each part; the order of training rows does not depend on the seed.

        Raises:
            ConfigError: no training rows, a class without any, no test rows where ``test_fraction`` is None, a fraction
                of a part that the column names, or too large a ``train_size``.
        """
        train, val, test = (np.flatnonzero(self.parts == part) for part in ("train", "val", "test"))
        if not len(train):
            raise ConfigError(self.setting, "names no training row", "write train in the rows for training")
        if settings.test_fraction is None and not len(test):
            raise no_predefined_test()
        rows = {"test": test, "val": val}
        fractions = {"test": settings.test_fraction, "val": settings.val_fraction}
        for part, fraction in fractions.items():
            if len(rows[part]) and fraction not in (None, 0, DEFAULT_FRACTION):
                raise ConfigError(
                    Setting(f"data.{part}_fraction", fraction),
                    f"{self.setting} names the {_PART_NAMES[part]} rows",
                    "leave it out, or set 0 to skip them",
                )
        drawn = {part: fraction for part, fraction in fractions.items() if fraction and not len(rows[part])}
        if drawn:
            check_classes(settings.classes, train, 1 + len(drawn), settings.class_names)
        generator, total = np.random.default_rng(mix(settings.split_seed, "split")), len(train)
        for part, fraction in drawn.items():
            count = count_rows(f"{part}_fraction", fraction, total)
            rows[part], train = draw_rows(np.sort(train), settings.classes, count, generator)
        val, test = (rows[part] if fractions[part] != 0 else rows[part][:0] for part in ("val", "test"))
        if not len(train):
            raise ConfigError(
                Setting("data.val_fraction", settings.val_fraction), "leaves no training row", "decrease it"
            )
        remedy = "name a training row of it, or drop the class"
        check_train(settings.classes, train, settings.class_names, self.setting, remedy)
        check_train_size(settings.train_size, Rows(train, val, test))
        train = _fixed_order(train) if settings.train_size is None else keep_train_rows(np.sort(train), settings)
        return Rows(train, val, test)


class TimeSplit:
    """The latest rows for the test, those before them for validation, the earliest for training; no draws.

    Rows with equal times stay together, so each border is between two distinct times: where the test (then
    validation) is nearest to its share of all rows, and no part is empty; of two such borders, the later one.
    scikit-learn's ``TimeSeriesSplit`` separates equal times. ``train_size`` keeps the latest training rows, those
    next to validation (of equal times, those further down in the table); it changes neither validation nor test.

    Args:
        column: name of the column, for messages.
        times: time of each row, as numbers (n,).
    """

    def __init__(self, column: str, times: np.ndarray) -> None:
        self.setting = Setting("data.split_column", column)
        self.times = times

    def split(self, settings: SplitSettings) -> Rows:
        """Return the rows of each part; the order of training rows does not depend on the seed.

        Raises:
            ConfigError: fewer distinct times than parts, a class without training rows, or too large a ``train_size``.
        """
        total = len(self.times)
        wanted = _rows_held_out(settings, total, self.setting)
        distinct, counts = np.unique(self.times, return_counts=True)
        parts = 1 + sum(rows > 0 for rows in wanted)
        if len(distinct) < parts:
            raise ConfigError(
                self.setting,
                f"its {total} rows are of {pluralize(len(distinct), 'distinct time')}, too few for {parts} parts",
                "name a column with more distinct times, or set a fraction to 0",
            )
        test = _latest(counts, wanted[0], 1 + (wanted[1] > 0))
        val = _latest(counts[: len(counts) - test], wanted[1], 1)
        order = np.argsort(self.times, kind="stable")
        borders = np.cumsum([counts[: len(counts) - test - val].sum(), counts[len(counts) - test - val :][:val].sum()])
        rows = Rows(*np.split(order, borders))
        remedy = "all of its rows are later; lower the fractions, or drop the class"
        check_train(settings.classes, rows.train, settings.class_names, self.setting, remedy)
        check_train_size(settings.train_size, rows)
        kept = rows.train if settings.train_size is None else rows.train[-settings.train_size :]
        check_kept(kept, settings)
        return Rows(_fixed_order(kept), rows.val, rows.test)


def _rows_held_out(settings: SplitSettings, total: int, setting: Setting) -> list[int]:
    """Return the numbers of rows for test and validation.

    Raises:
        ConfigError: ``test_fraction`` is None, or a fraction is less than one row.
    """
    if settings.test_fraction is None:
        raise ConfigError(Setting("data.test_fraction", None), f"{setting} splits all rows", "give a share such as 0.2")
    return [
        count_rows("test_fraction", settings.test_fraction, total),
        count_rows("val_fraction", settings.val_fraction, total),
    ]


def _fixed_order(rows: np.ndarray) -> np.ndarray:
    """Return row numbers in a random order that does not depend on the seed.

    The first of them are a sample of all, and a split that is the same for every seed has the same hash.
    """
    return np.random.default_rng(mix(0, "order")).permutation(np.sort(rows))


def _latest(counts: np.ndarray, rows: int, reserved: int) -> int:
    """Return the number of latest times whose total number of rows is nearest to `rows`.

    Args:
        counts: rows of each time, in order.
        rows: 0: none of the times.
        reserved: number of times at the beginning that are not taken.
    """
    if not rows:
        return 0
    sums = np.cumsum(counts[reserved:][::-1])
    return 1 + int(np.argmin(np.abs(sums - rows)))
