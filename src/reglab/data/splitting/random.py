"""Random splits into training, validation and test rows, stratified by class; the checks that all splits share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from reglab.schema.errors import ConfigError, Setting
from reglab.seeding import mix
from reglab.wording import least_share

_FRACTIONS = "data.val_fraction, data.test_fraction"


@dataclass(frozen=True)
class Rows:
    """Row numbers of each part, int64 (n,), in random order, so that the first k of a part are a sample of it."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class SplitSettings:
    """Settings of a split, and the classes that it is stratified by.

    Args:
        split_seed: seed of the random draws.
        train_size: training rows kept; None: all.
        val_fraction: share of rows for validation; 0 skips it.
        test_fraction: share of rows for the test; 0 skips it; None: the predefined test rows.
        classes: class of each row, int64 (rows,); None: a regression.
        class_names: names of the classes, for messages; empty: their numbers.
    """

    split_seed: int
    train_size: int | None
    val_fraction: float
    test_fraction: float | None
    classes: np.ndarray | None = None
    class_names: Sequence[str] = ()


class Splitter(Protocol):
    """Protocol of splits of the rows of a data set."""

    def split(self, settings: SplitSettings) -> Rows:
        """Return the rows of each part.

        Raises:
            ConfigError: the data set cannot be split with these settings.
        """


@dataclass(frozen=True)
class RandomSplit:
    """Random rows, stratified by class: the test first, validation from the rest, then ``train_size`` of what remains.

    Fractions are shares of all rows (of all but the predefined test rows if these are the test). Each class keeps its
    share in every part, within one row. For a seed, the test does not depend on ``val_fraction``, and ``train_size``
    changes neither validation nor test. scikit-learn's ``StratifiedShuffleSplit`` has neither property: it draws
    training and test rows together (tests/data/test_scikit_learn.py).

    Args:
        rows: number of rows.
        held_out: number of rows at the end that are the predefined test; used if ``test_fraction`` is None.

    Example:
        >>> parts = RandomSplit(10).split(SplitSettings(0, train_size=4, val_fraction=0.2, test_fraction=0.2))
        >>> len(parts.train), len(parts.val), len(parts.test)
        (4, 2, 2)
    """

    rows: int
    held_out: int = 0

    def split(self, settings: SplitSettings) -> Rows:
        """Return the rows of each part.

        Raises:
            ConfigError: a part would be empty, ``train_size`` is too large, a class has fewer rows than there are
                parts, or no training row.
        """
        classes, names = settings.classes, settings.class_names
        rest, test = np.arange(self.rows), np.empty(0, dtype=np.int64)
        generator = np.random.default_rng(mix(settings.split_seed, "split"))
        if settings.test_fraction is None:
            if not self.held_out:
                raise no_predefined_test()
            rest, test = rest[: self.rows - self.held_out], rest[self.rows - self.held_out :]
        total = len(rest)
        drawn_parts = 1 + (settings.val_fraction > 0) + bool(settings.test_fraction)  # training is always drawn
        check_classes(classes, rest, drawn_parts, names)
        if settings.test_fraction:
            test, rest = draw_rows(rest, classes, count_rows("test_fraction", settings.test_fraction, total), generator)
        val, rest = draw_rows(rest, classes, count_rows("val_fraction", settings.val_fraction, total), generator)
        if not len(rest):
            raise ConfigError(
                Setting("data.val_fraction", settings.val_fraction),
                f"with data.test_fraction={settings.test_fraction} no row of {self.rows} is left for training",
                "lower one of them",
            )
        check_train(classes, rest, names)
        if settings.train_size is None:
            return Rows(generator.permutation(rest), val, test)
        check_train_size(settings.train_size, Rows(rest, val, test))
        return Rows(keep_train_rows(rest, settings), val, test)


def no_predefined_test() -> ConfigError:
    """Return the error for data without predefined test rows."""
    return ConfigError(
        Setting("data.test_fraction", None), "this data has no predefined test rows", "give a share such as 0.2"
    )


def check_train_size(train_size: int | None, rows: Rows) -> None:
    """Raise if ``train_size`` is larger than the number of training rows.

    Args:
        train_size: training rows to keep; None: all.
        rows: rows of each part, with all training rows.
    """
    if train_size is not None and train_size > len(rows.train):
        raise ConfigError(
            Setting("data.train_size", train_size),
            f"only {len(rows.train)} rows are left besides validation ({len(rows.val)}) and test ({len(rows.test)})",
            "set at most that, or null for all",
        )


def count_rows(key: str, fraction: float, rows: int) -> int:
    """Return a fraction of the rows as their number.

    Args:
        key: ``val_fraction`` or ``test_fraction``.
        fraction: share of the rows.
        rows: number of rows.

    Raises:
        ConfigError: the fraction is above 0 and the number is 0.
    """
    count = round(fraction * rows)
    if fraction > 0 and count == 0:
        raise ConfigError(
            Setting(f"data.{key}", fraction),
            f"is less than one row of {rows}",
            f"set at least {least_share(rows):g}, or 0 to skip it",
        )
    return count


def check_classes(classes: np.ndarray | None, rows: np.ndarray, parts: int, names: Sequence[str]) -> None:
    """Raise if a class has fewer rows than there are parts.

    Args:
        classes: class of each row; None: a regression, not checked.
        rows: numbers of the rows to split.
        parts: number of parts.
        names: names of the classes; empty: their numbers.
    """
    if classes is None:
        return
    labels, counts = np.unique(classes[rows], return_counts=True)
    if counts.min() < parts:
        rarest = labels[counts.argmin()]
        name = names[rarest] if names else str(rarest)
        raise ConfigError(
            _FRACTIONS,
            f"class {name} has {counts.min()} of {len(rows)} rows, too few for {parts} parts",
            "merge or drop rare classes, or set a fraction to 0",
        )


def check_train(
    classes: np.ndarray | None,
    train: np.ndarray,
    names: Sequence[str],
    where: Setting | str = _FRACTIONS,
    remedy: str = "lower them, or merge or drop rare classes",
) -> None:
    """Raise if a class has no training row, as rounding or a split column can cause for a rare class.

    Args:
        classes: class of each row; None: a regression, not checked.
        train: numbers of the training rows.
        names: names of the classes; empty: their numbers.
        where: setting to blame.
        remedy: remedy in the message.
    """
    if classes is None:
        return
    missing = np.setdiff1d(classes, classes[train])
    if len(missing):
        name = names[missing[0]] if names else str(missing[0])
        rows = int(np.sum(classes == missing[0]))
        raise ConfigError(where, f"class {name} ({rows} rows) has no training row", remedy)


def keep_train_rows(train: np.ndarray, settings: SplitSettings) -> np.ndarray:
    """Return ``train_size`` of the training rows at random, stratified by class, in random order.

    Raises:
        ConfigError: a class has none of them.
    """
    assert settings.train_size is not None
    generator = np.random.default_rng(mix(settings.split_seed, "train_size"))
    kept, _ = draw_rows(train, settings.classes, settings.train_size, generator)
    check_kept(kept, settings)
    return kept


def check_kept(kept: np.ndarray, settings: SplitSettings) -> None:
    """Raise if the training rows that ``train_size`` keeps lack a class."""
    remedy = "increase it, or merge or drop rare classes"
    check_train(settings.classes, kept, settings.class_names, Setting("data.train_size", len(kept)), remedy)


def draw_rows(
    rows: np.ndarray, classes: np.ndarray | None, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` of the rows at random, stratified by class, in random order; and the others."""
    shuffled = generator.permutation(rows)
    if classes is None:
        return shuffled[:count], shuffled[count:]
    labels = classes[shuffled]
    taken = np.zeros(len(shuffled), dtype=bool)
    for label, quota in _quotas(labels, count).items():
        taken[np.flatnonzero(labels == label)[:quota]] = True
    return shuffled[taken], shuffled[~taken]


def _quotas(labels: np.ndarray, count: int) -> dict[int, int]:
    """Return rows to draw from each class: its share of `count`, rounded by largest remainder so that they add up."""
    names, sizes = np.unique(labels, return_counts=True)
    whole, remainder = np.divmod(sizes * count, len(labels))
    order = np.argsort(-remainder, kind="stable")
    whole[order[: count - whole.sum()]] += 1
    return dict(zip(names.tolist(), whole.tolist(), strict=True))
