"""The axes that all data share, and the values they may take (no heavy imports: configs are checked with it)."""

from reglab.errors import ConfigError


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
            raise ConfigError(f"data.{key}={count}: must be a whole number of 1 or more, or null ({none})")
    if not (_number(label_noise) and 0 <= label_noise <= 1):
        raise ConfigError(f"data.label_noise={label_noise}: must lie between 0 and 1 (share of training rows)")
    for key, share in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if share is None and key == "test_fraction":
            continue
        if not (_number(share) and 0 <= share < 1):  # type: ignore[operator]
            raise ConfigError(f"data.{key}={share}: must be at least 0 and below 1 (0 skips that stage)")
    if val_fraction + (test_fraction or 0) >= 1:
        raise ConfigError(
            f"data.val_fraction={val_fraction}: with data.test_fraction={test_fraction} no row is left to train on; "
            "together they must stay below 1"
        )


def only_classes(label_noise: float, name: str, kind: str) -> str:
    """One line for label noise where there are no classes to replace."""
    return f"data.label_noise={label_noise}: {name} is a {kind} task, and only classes can be replaced; leave it at 0"


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
