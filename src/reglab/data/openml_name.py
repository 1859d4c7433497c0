"""Which data set of OpenML is meant, as far as the config tells (no heavy imports: configs are checked with it)."""

import re
from pathlib import Path

from reglab.schema.errors import ConfigError, Setting

_NAME = re.compile(r"[\w.,()-]+")  # what OpenML allows


def check_openml(name: object, number: int | None, version: int | None, cache: str | None) -> None:
    """Refuse what cannot name a data set of OpenML, and a cache that is no folder.

    Args:
        name: of the data set; beside a number any label.
        number: OpenML's id, 1 or more.
        version: 1 or more; None: the active one.
        cache: a folder, which may not exist yet; None: scikit-learn's own.

    Raises:
        ConfigError: neither name nor number, a number and a version, or no folder.
    """
    if name in (None, "") and number is None:
        raise ConfigError(
            Setting("data.name", None),
            "name a data set of OpenML, as in data.name=iris data.version=1, or give its number, as in data.id=61",
        )
    if number is not None and version is not None:
        raise ConfigError(
            Setting("data.version", version), f"data.id={number} is of one version already", "leave one of the two out"
        )
    if number is None and isinstance(name, int):
        raise ConfigError(Setting("data.name", name), f"a number goes to data.id={name}")
    if number is None and not _NAME.fullmatch(str(name)):
        raise ConfigError(
            Setting("data.name", name),
            "is no name on OpenML, which has letters, digits and _ - . , ( )",
            "copy it from https://www.openml.org, or give data.id",
        )
    if cache is not None and (not cache or Path(cache).expanduser().is_file()):
        raise ConfigError(Setting("data.cache", cache), "must be a folder, or null for scikit-learn's own")
