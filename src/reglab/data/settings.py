"""Checks of the settings in the section `data`; nothing heavy is imported, since every config is checked with them."""

import re
from collections.abc import Sequence
from pathlib import Path

from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import metric_label
from reglab.schema.suggest import did_you_mean
from reglab.schema.task_kinds import CLASS_LABELS, LABEL_SETS, TASK_KINDS
from reglab.schema.text import quote_value

DEFAULT_FRACTION = 0.2  # of the rows for validation, and for the test
SPLIT_METHODS = ("groups", "parts", "folds", "time")
_MOST_ROWS = 2**31 - 1  # more do not fit in memory, and overflow torch's sizes
_WHOLE_NUMBER = re.compile(r"([+-]?\d+)(\.0*)?")
_OPENML_NAME = re.compile(r"[\w.,()-]+")


def check_common_settings(
    train_size: int | None,
    label_noise: float,
    val_fraction: float,
    test_fraction: float | None,
    batch_size: int | None,
) -> None:
    """Raise if a setting that all data sets share is out of range.

    Args:
        train_size: training rows kept, at least 1; None: all.
        label_noise: share of training rows that get another class, 0 to 1.
        val_fraction: share of rows for validation, at least 0 and below 1; 0 skips it.
        test_fraction: share of rows for the test, at least 0 and below 1; 0 skips it; None: the predefined test rows.
        batch_size: rows of a batch, at least 1; None: full batch.

    Raises:
        ConfigError: names the key, the value and the range.

    Example:
        >>> check_common_settings(None, 0.1, 0.2, None, 64)
        >>> check_common_settings(0, 0.1, 0.2, None, 64)
        Traceback (most recent call last):
        reglab.schema.errors.ConfigError: data.train_size=0: must be a whole number of 1 or more, or null (all rows)
    """
    for key, count, none in (("train_size", train_size, "all rows"), ("batch_size", batch_size, "full batch")):
        if count is not None and not (_is_whole(count) and count >= 1):
            raise ConfigError(Setting(f"data.{key}", count), f"must be a whole number of 1 or more, or null ({none})")
        if count is not None and count > _MOST_ROWS:
            raise ConfigError(Setting(f"data.{key}", count), f"must be at most {_MOST_ROWS}, or null ({none})")
    if not (_is_number(label_noise) and 0 <= label_noise <= 1):
        raise ConfigError(Setting("data.label_noise", label_noise), "must be between 0 and 1 (share of training rows)")
    if 0 < label_noise * _MOST_ROWS < 1:
        raise ConfigError(
            Setting("data.label_noise", label_noise), "is too small to replace any label", "increase it, or set 0"
        )
    for key, share in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if share is None and key == "test_fraction":
            continue
        if not (_is_number(share) and 0 <= share < 1):  # type: ignore[operator]
            raise ConfigError(Setting(f"data.{key}", share), "must be at least 0 and below 1 (0 skips that stage)")
    if val_fraction + (test_fraction or 0) >= 1:
        raise ConfigError(
            Setting("data.val_fraction", val_fraction),
            f"with data.test_fraction={test_fraction} no row is left for training",
            "their sum must be below 1",
        )


def check_target(kind: str, target: object) -> None:
    """Raise if the number of target columns does not fit the kind of task, or a list is given as text.

    Args:
        kind: kind of the task, or ``auto``.
        target: name of a column, or names of several; None: not set.
    """
    columns = list(target) if isinstance(target, Sequence) and not isinstance(target, str) else []
    label_sets = kind in TASK_KINDS and LABEL_SETS in TASK_KINDS[kind].features
    if columns and kind != "auto" and not label_sets:
        raise ConfigError(Setting("data.kind", kind), "has one target, and data.target names several", "name one")
    if label_sets and not columns:
        raise ConfigError(Setting("data.target", target), "is one column", "name two or more, as in [a,b]")
    if isinstance(target, str) and target.startswith("[") and target.endswith("]"):
        items = [item.strip().strip("'\"") for item in target[1:-1].split(",")]
        listed = f"data.target={quote_value(items)}"
        raise ConfigError(Setting("data.target", quote_value(target)), "is one name in quotes", f'write "{listed}"')
    check_label_names(columns)


def check_label_names(labels: Sequence[str]) -> None:
    """Raise if two labels have one name in metrics (see `metric_label`)."""
    first: dict[str, str] = {}
    for label in map(str, labels):
        other = first.setdefault(metric_label(label), label)
        if other != label:
            name = metric_label(label)
            problem = (
                f"the metrics of {other!r} and {label!r} would both be named {name}, because MLflow accepts only "
                "letters, digits, spaces and _ - . : in names"
            )
            raise ConfigError(Setting("data.target", list(labels)), problem, "rename one of the columns")


def check_label_noise(label_noise: float, kind: str | None, name: str) -> None:
    """Raise if label noise is set for a task without class labels.

    Args:
        label_noise: share of training rows that get another class.
        kind: kind of the task; None: not known yet.
        name: name of the data set, for the message.
    """
    if label_noise and kind is not None and CLASS_LABELS not in TASK_KINDS[kind].features:
        raise ConfigError(
            Setting("data.label_noise", label_noise),
            f"replaces class labels, and {name} is a {kind} task",
            "set it to 0",
        )


def check_split_column(column: str | None, method: str | None, target: str | None) -> None:
    """Raise unless the split column and the split method are both set, or neither is.

    Args:
        column: name of the column; None: a random split.
        method: one of `SPLIT_METHODS`; None: a random split.
        target: name of the target column; None: not known yet.

    Raises:
        ConfigError: one without the other, an unknown method, or the column is the target.
    """
    if method is not None and method not in SPLIT_METHODS:
        raise ConfigError(
            Setting("data.split_by", method),
            f"must be one of {', '.join(SPLIT_METHODS)}, or null{did_you_mean(str(method), SPLIT_METHODS)}",
        )
    if column is None and method is not None:
        raise ConfigError(
            Setting("data.split_column", None),
            f"data.split_by={method} needs a column of the table",
            "name it, as in data.split_column=COLUMN",
        )
    if column is not None and method is None:
        raise ConfigError(
            Setting("data.split_by", None),
            f"required with data.split_column={column}",
            "set groups (the rows of a group stay together), parts (the column contains train, val or test), folds "
            "(data.test_fold is the test), or time (the latest rows are the test)",
        )
    if column is not None and column == target:
        raise ConfigError(Setting("data.split_column", column), "is the target", "name a column that is not predicted")


def fold_name(value: object) -> str:
    """Return the name of a fold: the same text for 3, 3.0, "3" and "03", as tables and command lines write it.

    >>> [fold_name(value) for value in (3, 3.0, " 03", "Oslo")]
    ['3', '3', '3', 'Oslo']
    """
    written = str(value).strip()
    whole = _WHOLE_NUMBER.fullmatch(written)
    return str(int(whole[1])) if whole else written


def check_folds(method: str | None, test_fold: object, val_fold: object, test_fraction: float | None) -> None:
    """Raise if folds are named without ``split_by=folds``, or that without a test fold.

    Args:
        method: the split method.
        test_fold: fold of the test; None: not set.
        val_fold: fold of the validation; None: drawn from the other folds.
        test_fraction: 0 skips the test.

    Raises:
        ConfigError: also if both folds are the same.
    """
    for key, fold in (("test_fold", test_fold), ("val_fold", val_fold)):
        if fold is not None and method != "folds":
            given = "null" if method is None else method
            raise ConfigError(
                Setting(f"data.{key}", fold), f"needs data.split_by=folds (it is {given}) with data.split_column"
            )
    if method == "folds" and test_fold is None and test_fraction != 0:
        raise ConfigError(
            Setting("data.test_fold", None),
            "required with data.split_by=folds",
            "name the fold of the test, as in data.test_fold=0, or skip the test by data.test_fraction=0",
        )
    if test_fold is not None and val_fold is not None and fold_name(test_fold) == fold_name(val_fold):
        raise ConfigError(
            Setting("data.val_fold", val_fold), "is also the test fold", "name another fold, or null to draw the rows"
        )


def check_openml(name: object, number: int | None, version: int | None, cache: str | None) -> None:
    """Raise if the settings do not identify a data set of OpenML, or the cache is not a folder.

    Args:
        name: name of the data set; any label if there is a number.
        number: OpenML's id, at least 1.
        version: version of that name, at least 1; None: the active one.
        cache: a folder, which may not exist yet; None: scikit-learn's own.

    Raises:
        ConfigError: neither name nor number, a number and a version, or no folder.
    """
    if name in (None, "") and number is None:
        raise ConfigError(
            Setting("data.name", None),
            "required",
            "name a data set of OpenML, as in data.name=iris data.version=1, or give its number, as in data.id=61",
        )
    if number is not None and version is not None:
        raise ConfigError(
            Setting("data.version", version), f"data.id={number} has only one version", "leave one of the two out"
        )
    if number is None and isinstance(name, int):
        raise ConfigError(Setting("data.name", name), "is a number", f"set data.id={name}")
    if number is None and not _OPENML_NAME.fullmatch(str(name)):
        raise ConfigError(
            Setting("data.name", name),
            "is not a name on OpenML, which consists of letters, digits and _ - . , ( )",
            "copy it from https://www.openml.org, or give data.id",
        )
    if cache is not None and (not cache or Path(cache).expanduser().is_file()):
        raise ConfigError(Setting("data.cache", cache), "must be a folder, or null for scikit-learn's own")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
