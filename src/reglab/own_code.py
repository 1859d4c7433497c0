"""A user's own class by its name, ``my_net.Net``: where its file lies, found without running it."""

import sys
from pathlib import Path

from reglab.errors import ConfigError


def module_and_class(target: str | None, key: str) -> tuple[str, str]:
    """The two parts of a name.

    Raises:
        ConfigError: it has none; `key` is what holds it.
    """
    module, _, name = (target or "").rpartition(".")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise ConfigError(
            f"{key}={'null' if target is None else target}: give a class with its module, as in {key}=my_net.Net for "
            "the class Net in my_net.py"
        )
    return module, name


def source_file(target: str | None, key: str) -> Path:
    """The file of the class's module: in the folder that the command runs in, else where Python looks.

    Raises:
        ConfigError: there is none.
    """
    module, _ = module_and_class(target, key)
    inner = Path(*module.split("."))
    for folder in (Path.cwd(), *map(Path, sys.path)):
        for file in (folder / inner.with_suffix(".py"), folder / inner / "__init__.py"):
            if file.is_file():
                return file
    raise ConfigError(
        f"{key}={target}: there is no {inner.with_suffix('.py')} in {Path.cwd()}, nor where Python looks (PYTHONPATH); "
        "check its name"
    )
