"""Which rows are for the test, for validation, for training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reglab.errors import ConfigError
from reglab.seeding import mix


@dataclass(frozen=True)
class Rows:
    """Row numbers of each part, in random order (so that the first k of a part are a sample of it)."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


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
        ConfigError: a part would be empty, ``train_size`` is too large, a class has fewer rows than there are parts.
    """
    rest, test = np.arange(rows), np.empty(0, dtype=np.int64)
    generator = np.random.default_rng(mix(split_seed, "split"))
    if test_fraction is None:
        if not held_out:
            raise ConfigError(
                "data.test_fraction=null: this data has no test rows of its own; give a share such as 0.2"
            )
        rest, test = rest[: rows - held_out], rest[rows - held_out :]
    total = len(rest)
    _check_classes(classes, rest, 1 + (val_fraction > 0) + bool(test_fraction), class_names)
    if test_fraction:
        test, rest = _draw(rest, classes, _share("test_fraction", test_fraction, total), generator)
    val, rest = _draw(rest, classes, _share("val_fraction", val_fraction, total), generator)
    if not len(rest):
        raise ConfigError(
            f"data.val_fraction={val_fraction}: with data.test_fraction={test_fraction} no row of {rows} is left "
            "to train on; lower one of them"
        )
    _check_train(classes, rest, class_names)
    if train_size is None:
        return Rows(generator.permutation(rest), val, test)
    if train_size > len(rest):
        raise ConfigError(
            f"data.train_size={train_size}: only {len(rest)} rows are left by validation ({len(val)}) and test "
            f"({len(test)}); at most that, or null for all"
        )
    train, _ = _draw(rest, classes, train_size, np.random.default_rng(mix(split_seed, "train_size")))
    return Rows(train, val, test)


def _share(key: str, fraction: float, rows: int) -> int:
    count = round(fraction * rows)
    if fraction > 0 and count == 0:
        raise ConfigError(f"data.{key}={fraction}: leaves no row of {rows}; at least {1 / rows:.2g}, or 0 to skip it")
    return count


def _check_classes(classes: np.ndarray | None, rows: np.ndarray, parts: int, names: Sequence[str]) -> None:
    if classes is None:
        return
    labels, counts = np.unique(classes[rows], return_counts=True)
    if counts.min() < parts:
        rarest = labels[counts.argmin()]
        name = names[rarest] if names else str(rarest)
        raise ConfigError(
            f"data.val_fraction, data.test_fraction: class {name} has {counts.min()} of "
            f"{len(rows)} rows, too few for {parts} parts; merge or drop rare classes, or set a fraction to 0"
        )


def _check_train(classes: np.ndarray | None, train: np.ndarray, names: Sequence[str]) -> None:
    """Of a rare class, rounding can leave no row to train on."""
    if classes is None:
        return
    missing = np.setdiff1d(classes, classes[train])
    if len(missing):
        name = names[missing[0]] if names else str(missing[0])
        rows = int(np.sum(classes == missing[0]))
        raise ConfigError(
            f"data.val_fraction, data.test_fraction: of class {name} ({rows} rows) none is left to train on; lower "
            "them, or merge or drop rare classes"
        )


def _draw(
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
