"""Data sets of the Hugging Face hub that are on this machine: in a folder, or in the cache. Nothing is downloaded."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reglab.data.files import check_regular, is_visible, walk
from reglab.hub_cache import is_place
from reglab.schema.errors import ConfigError, Setting

if TYPE_CHECKING:
    from datasets import Dataset

TESTS = ("test", "validation", "valid", "val")  # of these the first that is there is the data set's own test part


def check_path(path: str | None, key: str = "data.path") -> None:
    """Refuse what a look at the disk shows to be no data set; whether a name is in the cache is not asked here.

    Args:
        path: a folder, or a name in the cache; what `is_place` takes for a place is no name.
        key: that holds it, for messages.

    Raises:
        ConfigError: no path, a file, or a folder that is not there.
    """
    if not path:
        raise ConfigError(Setting(key, None), "give a folder with a data set, or a name in the Hugging Face cache")
    folder = _folder(path)
    if folder.is_file():
        raise ConfigError(Setting(key, path), "is a file", "give its folder, or use data=csv for a table")
    if is_place(path) and not folder.is_dir():
        here = "" if path.startswith(("/", "~")) else f" seen from {Path.cwd()}"
        raise ConfigError(Setting(key, path), f"no such folder{here}", "check the path")


def parts(path: str | None, config: str | None) -> dict[str, "Dataset"]:
    """The parts of a data set by their names, such as ``train`` and ``test``; ``train`` where it has no parts.

    Args:
        path: a folder (of ``save_to_disk``, or with files of CSV, JSON, Parquet, images), or a name in the cache.
        config: which of the data sets that one name stands for; None: the only one.

    Raises:
        ConfigError: none is there, or it cannot be read.
    """
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    check_path(path)
    assert path is not None
    folder = _folder(path)
    if folder.is_dir():
        _check_files(folder, path)
    try:
        with _offline():
            found = _saved(folder) if _is_saved(folder) else _loaded(folder, path, config)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            Setting("data.path", path),
            f"no data set can be read from it ({lines[0]})",
            "give a folder, or a name that is in the Hugging Face cache (hf download --repo-type dataset NAME)",
        ) from error
    return dict(found) if isinstance(found, dict) else {"train": found}


def test_part(names: Collection[str]) -> str | None:
    """Which of the parts is the data set's own test; None where it has none."""
    return next((name for name in TESTS if name in names), None) if len(names) > 1 else None


def version(path: str | None) -> tuple[tuple[str, int], ...]:
    """The files of a folder with the times of their last changes; of a name nothing."""
    folder = _folder(path or "")
    files = [file for file in walk(folder) if file.exists()] if path and folder.is_dir() else []
    return tuple((str(file), file.stat().st_mtime_ns) for file in files)


def _folder(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # ~ of a user that there is not
        return Path(path)


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _check_files(folder: Path, path: str) -> None:
    """Refuse files that cannot be read, and folders of the system whose files the library datasets would read as data.

    The library skips hidden folders, but not those such as ``@eaDir``: their files would become rows, and would not be
    part of a run's identity.
    """
    for file in walk(folder):
        check_regular(file, f"data.path={path}: {file.relative_to(folder)}")
    if _is_saved(folder):  # such a folder lists its files
        return
    for place, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in folders:
            if not is_visible(name) and any(Path(place, name).rglob("*")):
                raise ConfigError(
                    Setting("data.path", path),
                    f"holds the folder {Path(place, name).relative_to(folder)}, which a system creates, and whose "
                    "files the library datasets would read as data",
                    "remove it",
                )


def _saved(folder: Path) -> Any:
    from datasets import load_from_disk

    return load_from_disk(str(folder))


def _loaded(folder: Path, path: str, config: str | None) -> Any:
    from datasets import load_dataset
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if folder.is_dir():
        return load_dataset(str(folder), config)
    try:
        # As hf download has left it; a data set that was only ever loaded is in the cache of the library instead.
        place = snapshot_download(path, repo_type="dataset", local_files_only=True)
    except LocalEntryNotFoundError:
        place = path
    return load_dataset(place, config)


@contextmanager
def _offline() -> Iterator[None]:
    """The library asks the hub about every name, and waits for its answer, unless it is told not to."""
    from datasets import config

    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before
