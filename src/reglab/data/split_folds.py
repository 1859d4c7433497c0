"""Folds of cross-validation: one is the test, one may be validation, the others train."""

import difflib

import numpy as np

from reglab.data.folds import fold_name
from reglab.data.split_parts import Parts
from reglab.schema.errors import ConfigError, Setting
from reglab.wording import join_options


def folds(column: str, written: np.ndarray, test: str | None, val: str | None) -> Parts:
    """The rows by their folds, with all the rules of `Parts`: rows of no part that is named are drawn.

    Args:
        column: its name, for messages.
        written: the fold of each row, texts (n,).
        test: name of the fold to test on; None: no row is named for it.
        val: of that for validation; None: drawn from the others.

    Raises:
        ConfigError: no such fold, or none is left to train on.
    """
    labels, place = np.unique(written, return_inverse=True)  # as many cells as folds are read, and not as rows
    named = np.array([fold_name(label) for label in labels.tolist()])
    there = sorted(set(named.tolist()), key=lambda name: (not name.isdecimal(), len(name) * name.isdecimal(), name))
    for key, fold in (("test_fold", test), ("val_fold", val)):
        if fold is not None and fold not in there:
            raise ConfigError(
                Setting(f"data.{key}", fold), f"no such fold in data.split_column={column}", _hint(fold, there)
            )
    if not set(there) - {test, val}:
        raise ConfigError(
            Setting("data.split_column", column),
            f"has no fold besides {' and '.join(there)}, none is left to train on",
            "give a column with more folds",
        )
    part = np.select([named == test, named == val], ["test", "val"], "train")
    return Parts(column, part[place])


def _hint(fold: str, there: list[str]) -> str:
    lowered = {name.lower(): name for name in reversed(there)}
    near = difflib.get_close_matches(fold.lower(), lowered, n=1)
    return f"it has {join_options(there)}" + (f"; did you mean {lowered[near[0]]}?" if near else "")
