"""Which rows are for the test, for validation, for training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reglab.schema.errors import ConfigError, Setting
from reglab.seeding import mix
from reglab.wording import least_share

NO_OWN_TEST = "data.test_fraction=null: this data has no test rows of its own; give a share such as 0.2"


@dataclass(frozen=True)
class Rows:
    """Row numbers of each part, in random order (so that the first k of a part are a sample of it)."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Wish:
    """Settings of a split by a column; see `split`.

    Args:
        classes: class of each row (rows,); None: a regression.
        class_names: what a message calls the classes; empty: their numbers.
    """

    split_seed: int
    train_size: int | None
    val_fraction: float
    test_fraction: float | None
    classes: np.ndarray | None = None
    class_names: Sequence[str] = ()


def split(
    rows: int,
    classes: np.ndarray | None,
    *,
    split_seed: int,
    train_size: int | None,
    val_fraction: float,
    test_fraction: float | None,
    held_out: int = 0,
    class_names: Sequence[str] = (),
) -> Rows:
    """The test rows first, validation from the rest, then ``train_size`` of what remains.

    Fractions are shares of all rows (of all but the held-out ones where these are the test). Classes keep their shares
    in every part, within one row. For one seed ``train_size`` moves neither validation nor test.

    Args:
        rows: number of rows.
        classes: class of each row (rows,); None: not stratified.
        held_out: how many rows at the end are the data set's own test part: taken where ``test_fraction`` is None.
        class_names: what a message calls the classes; empty: their numbers.

    Raises:
        ConfigError: a part would be empty, ``train_size`` is too large, a class has fewer rows than there are parts, or
            none to train on.
    """
    rest, test = np.arange(rows), np.empty(0, dtype=np.int64)
    generator = np.random.default_rng(mix(split_seed, "split"))
    if test_fraction is None:
        if not held_out:
            raise ConfigError(NO_OWN_TEST)
        rest, test = rest[: rows - held_out], rest[rows - held_out :]
    total = len(rest)
    check_classes(classes, rest, 1 + (val_fraction > 0) + bool(test_fraction), class_names)
    if test_fraction:
        test, rest = draw_rows(rest, classes, share("test_fraction", test_fraction, total), generator)
    val, rest = draw_rows(rest, classes, share("val_fraction", val_fraction, total), generator)
    if not len(rest):
        raise ConfigError(
            Setting("data.val_fraction", val_fraction),
            f"with data.test_fraction={test_fraction} no row of {rows} is left to train on",
            "lower one of them",
        )
    check_train(classes, rest, class_names)
    if train_size is None:
        return Rows(generator.permutation(rest), val, test)
    check_train_size(train_size, Rows(rest, val, test))
    train, _ = draw_rows(rest, classes, train_size, np.random.default_rng(mix(split_seed, "train_size")))
    check_kept(classes, train, class_names)
    return Rows(train, val, test)


def check_train_size(train_size: int | None, rows: Rows) -> None:
    """Refuse more training rows than validation and test leave.

    Args:
        train_size: training rows to keep; None: all.
        rows: with all training rows.
    """
    if train_size is not None and train_size > len(rows.train):
        raise ConfigError(
            Setting("data.train_size", train_size),
            f"only {len(rows.train)} rows are left by validation ({len(rows.val)}) and test ({len(rows.test)})",
            "at most that, or null for all",
        )


def share(key: str, fraction: float, rows: int) -> int:
    """A fraction of the rows as their number; refuses one above 0 that leaves none."""
    count = round(fraction * rows)
    if fraction > 0 and count == 0:
        least = least_share(rows)
        raise ConfigError(
            Setting(f"data.{key}", fraction), f"leaves no row of {rows}", f"at least {least:g}, or 0 to skip it"
        )
    return count


def check_classes(classes: np.ndarray | None, rows: np.ndarray, parts: int, names: Sequence[str]) -> None:
    """Refuses a class with fewer of these rows than there are parts."""
    if classes is None:
        return
    labels, counts = np.unique(classes[rows], return_counts=True)
    if counts.min() < parts:
        rarest = labels[counts.argmin()]
        name = names[rarest] if names else str(rarest)
        raise ConfigError(
            "data.val_fraction, data.test_fraction",
            f"class {name} has {counts.min()} of {len(rows)} rows, too few for {parts} parts",
            "merge or drop rare classes, or set a fraction to 0",
        )


def check_train(
    classes: np.ndarray | None,
    train: np.ndarray,
    names: Sequence[str],
    key: str = "data.val_fraction, data.test_fraction",
    remedy: str = "lower them, or merge or drop rare classes",
) -> None:
    """Refuses a class without a row to train on: of a rare one, rounding can leave none, and so can a column."""
    if classes is None:
        return
    missing = np.setdiff1d(classes, classes[train])
    if len(missing):
        name = names[missing[0]] if names else str(missing[0])
        rows = int(np.sum(classes == missing[0]))
        raise ConfigError(key, f"of class {name} ({rows} rows) none is left to train on", remedy)


def check_kept(classes: np.ndarray | None, train: np.ndarray, names: Sequence[str]) -> None:
    """Raise where the rows that ``train_size`` keeps lack a class."""
    key, remedy = f"data.train_size={len(train)}", "raise it, or merge or drop rare classes"
    check_train(classes, train, names, key, remedy)


def draw_rows(
    rows: np.ndarray, classes: np.ndarray | None, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """``count`` of the rows at random, in random order, and the others."""
    shuffled = generator.permutation(rows)
    if classes is None:
        return shuffled[:count], shuffled[count:]
    labels = classes[shuffled]
    taken = np.zeros(len(shuffled), dtype=bool)
    for label, quota in _quotas(labels, count).items():
        taken[np.flatnonzero(labels == label)[:quota]] = True
    return shuffled[taken], shuffled[~taken]


def _quotas(labels: np.ndarray, count: int) -> dict[int, int]:
    """Rows to take of each class: its share of ``count``, rounded by largest remainder so that they add up."""
    names, sizes = np.unique(labels, return_counts=True)
    whole, remainder = np.divmod(sizes * count, len(labels))
    order = np.argsort(-remainder, kind="stable")
    whole[order[: count - whole.sum()]] += 1
    return dict(zip(names.tolist(), whole.tolist(), strict=True))
