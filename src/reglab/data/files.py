"""A user's data file, as far as its path tells (no heavy imports: configs are checked with it)."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from reglab.errors import ConfigError

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
        ConfigError: no path, no such file (the nearest name in its folder is suggested), a folder, an unknown suffix.
    """
    if not path:
        example = f"FILE{suffixes[0] if suffixes else '.txt'}"
        raise ConfigError(f"{key}={'null' if path is None else repr(path)}: give the file, as in {key}={example}")
    file = Path(path).expanduser()
    if file.is_dir():
        known = f" ({', '.join(suffixes)})" if suffixes else ""
        raise ConfigError(f"{key}={path}: is a folder; give one file in it{known}")
    if not file.exists():
        raise ConfigError(f"{key}={path}: no such file{_hint(file, suffixes)}")
    if suffixes and suffix(path) is None:
        raise ConfigError(f"{key}={path}: unknown suffix; known are {', '.join(SUFFIXES)}")


def check_folder(path: str | None, key: str = "data.root") -> None:
    """Refuse a path that is no folder.

    Raises:
        ConfigError: no path, no such folder, or a file.
    """
    if not path:
        raise ConfigError(f"{key}={'null' if path is None else repr(path)}: give the folder, as in {key}=FOLDER")
    folder = Path(path).expanduser()
    if not folder.is_dir():
        what = "is a file; give the folder that holds it" if folder.exists() else "no such folder; check the path"
        raise ConfigError(f"{key}={path}: {what}")


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
