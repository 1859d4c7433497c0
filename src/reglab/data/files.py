"""A user's data file, as far as its path tells (no heavy imports: configs are checked with it)."""

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from reglab.paths import special_kind
from reglab.schema.errors import ConfigError, Setting

SEPARATED = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
PARQUET = (".parquet", ".pq")
SUFFIXES = (*SEPARATED, *PARQUET)


def check_file(path: str | None, key: str = "data.path", suffixes: Sequence[str] = SUFFIXES) -> None:
    """Refuse a path that cannot be read, as a table unless other suffixes are given.

    Args:
        path: of the file.
        key: that holds it, for messages.
        suffixes: that its name may have; empty: any.

    Raises:
        ConfigError: no path, no such file (the nearest name in its folder is suggested), a folder, an unknown suffix,
            or what `check_regular` refuses.
    """
    if not path:
        example = f"FILE{suffixes[0] if suffixes else '.txt'}"
        raise ConfigError(Setting(key, "null" if path is None else repr(path)), f"give the file, as in {key}={example}")
    file = _expanded(path, key)
    if file.is_dir():
        known = f" ({', '.join(suffixes)})" if suffixes else ""
        raise ConfigError(Setting(key, path), "is a folder", f"give one file in it{known}")
    if not os.path.lexists(file):
        raise ConfigError(Setting(key, path), f"no such file{_hint(file, suffixes)}")
    check_regular(file, f"{key}={path}")
    if suffixes and suffix(path) is None:
        raise ConfigError(Setting(key, path), "unknown suffix", f"known are {', '.join(SUFFIXES)}")


def check_folder(path: str | None, key: str = "data.root") -> None:
    """Refuse a path that is no folder.

    Raises:
        ConfigError: no path, no such folder, or a file.
    """
    if not path:
        raise ConfigError(Setting(key, "null" if path is None else repr(path)), f"give the folder, as in {key}=FOLDER")
    folder = _expanded(path, key)
    if not folder.is_dir():
        if folder.is_symlink() and not folder.exists():
            raise ConfigError(Setting(key, path), _bad_link(folder))
        what = "is not a folder; give the folder of the files" if folder.exists() else "no such folder"
        raise ConfigError(Setting(key, path), what, "check the path")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise ConfigError(Setting(key, path), "cannot be read (no permission)", "change its mode (chmod u+rx)")


def check_regular(path: str | Path, key: str) -> None:
    """Raise if a path is not a regular file that fits in memory: opening a pipe blocks, a device never ends.

    Args:
        path: of the file.
        key: begins the message: the key and what it got, as in ``data.path=FILE``.

    Raises:
        ConfigError: a pipe, device, socket or folder, a broken link, no permission, or more bytes than the machine has
            memory.
    """
    file = Path(path)
    try:
        state = file.stat()
    except OSError:
        reason = _bad_link(file) if file.is_symlink() else "no such file; check the path"
        raise ConfigError(key, reason) from None
    if what := special_kind(state.st_mode):
        raise ConfigError(key, f"is {what}", "give a regular file (write its content to one first)")
    if not os.access(file, os.R_OK):
        raise ConfigError(key, "cannot be read (no permission)", "change its mode (chmod u+r)")
    if state.st_size > memory():
        raise ConfigError(
            key,
            f"has {state.st_size / 2**30:.1f} GiB, more than this machine's memory ({memory() / 2**30:.1f} GiB)",
            "give a smaller part of it",
        )


def memory() -> int:
    """Bytes of the machine's physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_fits(rows: int, numbers: int, key: str, remedy: str) -> None:
    """Raise where a float32 tensor is larger than half of the machine's memory.

    Args:
        rows: examples.
        numbers: of each example.
        key: begins the message.
        remedy: ends it.

    Raises:
        ConfigError: states the memory that would be needed, and what there is.
    """
    needed = 4 * rows * numbers
    if needed > memory() / 2:
        raise ConfigError(
            key,
            f"{rows} rows of {numbers} inputs need {needed / 2**30:.1f} GiB, more than half of this "
            f"machine's {memory() / 2**30:.1f} GiB of memory",
            remedy,
        )


_OF_THE_SYSTEM = (
    "__macosx",  # archives of macOS
    "@eadir",  # thumbnails of Synology
    "lost+found",  # ext file systems
    "$recycle.bin",  # this and those below: Windows
    "system volume information",
    "thumbs.db",
    "desktop.ini",
)


def walk(folder: Path) -> Iterator[Path]:
    """Return all visible files below a folder, sorted; linked folders are followed, each once; see `is_visible`."""
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted(name for name in folders if is_visible(name))
        if real not in seen:
            yield from (Path(place) / name for name in sorted(files) if is_visible(name))
        seen.add(real)


def is_visible(name: str) -> bool:
    """Whether the name of a file or folder is neither hidden (a dot at its start) nor one that systems create."""
    return not name.startswith(".") and name.casefold() not in _OF_THE_SYSTEM


def _expanded(path: str, key: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(Setting(key, path), "there is no such user", "write the folder out") from None


def _bad_link(path: Path) -> str:
    return f"is a broken link (to {os.readlink(path)}); correct it, or give the file itself"


def suffix(path: str) -> str | None:
    """The known suffix that ends the file's name, whatever its case; None where there is none."""
    name = Path(path).name.lower()
    return next((known for known in SUFFIXES if name.endswith(known)), None)


def stem(path: str) -> str:
    """The file's name without its known suffix: ``wine`` for ``data/wine.csv.gz``."""
    name = Path(path).name
    known = suffix(path)
    return name[: -len(known)] if known else Path(path).stem


def _hint(file: Path, suffixes: Sequence[str]) -> str:
    folder = file.parent
    if not folder.is_dir():
        return f" (there is no folder {folder} seen from {Path.cwd()}); check the path"
    by_stem = {stem(entry.name): entry for entry in sorted(folder.iterdir()) if suffix(entry.name) or not suffixes}
    near = difflib.get_close_matches(stem(file.name), by_stem, n=1, cutoff=0.6)  # suffixes alone are alike
    return f"; did you mean {by_stem[near[0]]}?" if near else f" in {folder.resolve()}; check the path"
