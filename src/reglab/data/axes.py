"""The axes that all data share, and the values they may take (no heavy imports: configs are checked with it)."""

import difflib

from reglab.schema.errors import ConfigError, Setting

WAYS = ("groups", "parts", "folds", "time")  # in which a column of a table splits its rows


FRACTION = 0.2  # of the rows for validation, and for the test, unless it is set
_MOST_ROWS = 2**31 - 1  # more fit in no memory, and overflow torch's sizes


def check_axes(
    train_size: int | None,
    label_noise: float,
    val_fraction: float,
    test_fraction: float | None,
    batch_size: int | None,
) -> None:
    """Refuse what no data could satisfy.

    Args:
        train_size: training rows kept, 1 or more; None: all.
        label_noise: share of training rows that get another class, 0 to 1.
        val_fraction: share of rows for validation, 0 <= . < 1; 0 skips it.
        test_fraction: share of rows for the test, 0 <= . < 1; 0 skips it; None: the rows that the data set holds out.
        batch_size: rows a batch, 1 or more; None: full batch.

    Raises:
        ConfigError: names the key, the value and the range.
    """
    for key, count, none in (("train_size", train_size, "all rows"), ("batch_size", batch_size, "full batch")):
        if count is not None and not (_whole(count) and count >= 1):
            raise ConfigError(Setting(f"data.{key}", count), f"must be a whole number of 1 or more, or null ({none})")
        if count is not None and count > _MOST_ROWS:
            raise ConfigError(Setting(f"data.{key}", count), f"must be at most {_MOST_ROWS}, or null ({none})")
    if not (_number(label_noise) and 0 <= label_noise <= 1):
        raise ConfigError(Setting("data.label_noise", label_noise), "must lie between 0 and 1 (share of training rows)")
    if 0 < label_noise * _MOST_ROWS < 1:
        raise ConfigError(
            Setting("data.label_noise", label_noise), "is too small to replace any label", "raise it, or set 0"
        )
    for key, share in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if share is None and key == "test_fraction":
            continue
        if not (_number(share) and 0 <= share < 1):  # type: ignore[operator]
            raise ConfigError(Setting(f"data.{key}", share), "must be at least 0 and below 1 (0 skips that stage)")
    if val_fraction + (test_fraction or 0) >= 1:
        raise ConfigError(
            Setting("data.val_fraction", val_fraction),
            f"with data.test_fraction={test_fraction} no row is left to train on",
            "together they must stay below 1",
        )


def only_classes(label_noise: float, name: str, kind: str) -> str:
    """One line for label noise where there are no classes to replace."""
    return f"data.label_noise={label_noise}: {name} is a {kind} task, and only classes can be replaced; leave it at 0"


def check_split_column(column: str | None, way: str | None, target: str | None) -> None:
    """Refuse half of a wish to split the rows of a table by a column.

    Args:
        column: its name; None: rows are drawn at random.
        way: one of `WAYS`, or None, together with the column.
        target: name of the target column; None: not known yet.

    Raises:
        ConfigError: one without the other, an unknown way, or the column is the target.
    """
    if way is not None and way not in WAYS:
        near = difflib.get_close_matches(str(way), WAYS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(Setting("data.split_by", way), f"must be one of {', '.join(WAYS)}, or null{hint}")
    if column is None and way is not None:
        raise ConfigError(
            Setting("data.split_column", None),
            f"data.split_by={way} goes by a column of the table",
            "name it, as in data.split_column=COLUMN",
        )
    if column is not None and way is None:
        raise ConfigError(
            Setting("data.split_by", None),
            f"say how data.split_column={column} splits the rows: groups (the rows of a group stay "
            "together), parts (it says train, val or test), folds (data.test_fold is the test), or time "
            "(the latest rows are)",
        )
    if column is not None and column == target:
        raise ConfigError(Setting("data.split_column", column), "is the target", "name a column that is not predicted")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
