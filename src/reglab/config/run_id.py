"""The id of a tracked run, as it is typed."""

from typing import Any

from reglab.schema.errors import ConfigError, Setting


def check_run_id(value: Any, target: str | None = None) -> None:
    """Refuses what is no id.

    Args:
        value: of the key ``run_id``; None where no run was named.
        target: of make, which needs a run; None: it finds one itself.

    Raises:
        ConfigError: none was given, or one of digits alone (and an e, perhaps), which Hydra reads as a number.
    """
    if value in (None, ""):
        if target is not None:
            raise ConfigError(
                Setting("run_id", None),
                f"give the id of a tracked run, as in make {target} RUN_ID=ID",
                "make train prints it",
            )
    elif not isinstance(value, str):
        raise ConfigError(Setting("run_id", value), "was read as a number", "quote it twice: run_id=\"'ID'\"")
