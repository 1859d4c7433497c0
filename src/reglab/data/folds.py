"""Folds by their names (no heavy imports: configs are checked with it)."""

import re

from reglab.schema.errors import ConfigError, Setting

_NUMBER = re.compile(r"([+-]?\d+)(\.0*)?")


def fold_name(value: object) -> str:
    """Return the name of a fold: the same text for 3, 3.0, "3" and "03", which tables and command lines all write."""
    written = str(value).strip()
    whole = _NUMBER.fullmatch(written)
    return str(int(whole[1])) if whole else written


def check_folds(way: str | None, test_fold: object, val_fold: object, test_fraction: float | None) -> None:
    """Refuse folds that nothing reads, and a test that no fold is named for.

    Args:
        way: in which the split column splits the rows.
        test_fold: the fold to test on; None: none.
        val_fold: the fold for validation; None: drawn from the others.
        test_fraction: 0 skips the test.

    Raises:
        ConfigError: a fold without ``split_by=folds``, that without a test fold, or one fold for both.
    """
    for key, fold in (("test_fold", test_fold), ("val_fold", val_fold)):
        if fold is not None and way != "folds":
            got = "null" if way is None else way
            raise ConfigError(
                Setting(f"data.{key}", fold), f"needs data.split_by=folds (it is {got}) with data.split_column"
            )
    if way == "folds" and test_fold is None and test_fraction != 0:
        raise ConfigError(
            Setting("data.test_fold", None),
            "data.split_by=folds tests on one fold",
            "name it, as in data.test_fold=0, or skip the test by data.test_fraction=0",
        )
    if test_fold is not None and val_fold is not None and fold_name(test_fold) == fold_name(val_fold):
        raise ConfigError(
            Setting("data.val_fold", val_fold), "is the test fold already", "name another, or null to draw the rows"
        )
