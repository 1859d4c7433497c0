"""Load data sets of the Hugging Face hub from a folder or the local cache; nothing is downloaded."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reglab.data.files import check_regular, is_visible, walk
from reglab.hub_cache import is_local_path
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text import first_line

if TYPE_CHECKING:
    from datasets import Dataset

_TEST_PARTS = ("test", "validation", "valid", "val")  # the first of these is the predefined test


def check_path(path: str | None, key: str = "data.path") -> None:
    """Raise if a path is neither a folder nor a possible name of a data set; the cache is not searched.

    Args:
        path: a folder, or a name in the cache; see `is_local_path`.
        key: key of the setting, for messages.

    Raises:
        ConfigError: no path, a file, or no such folder.
    """
    if not path:
        raise ConfigError(
            Setting(key, None), "required", "give a folder with a data set, or a name in the Hugging Face cache"
        )
    folder = _folder(path)
    if folder.is_file():
        raise ConfigError(Setting(key, path), "is a file", "give its folder, or use data=csv for a table")
    if is_local_path(path) and not folder.is_dir():
        here = "" if path.startswith(("/", "~")) else f" relative to {Path.cwd()}"
        raise ConfigError(Setting(key, path), f"no such folder{here}", "check the path")


def load_parts(path: str | None, config: str | None) -> dict[str, "Dataset"]:
    """Return the parts of a data set by name, such as ``train`` and ``test``; ``train`` if it has no parts.

    Args:
        path: a folder (from ``save_to_disk``, or with CSV, JSON, Parquet or image files), or a name in the cache.
        config: name of a subset; None: the only one.

    Raises:
        ConfigError: no such data set, or it cannot be read.
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
            loaded = _load_saved(folder) if _is_saved(folder) else _load_dataset(folder, path, config)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise ConfigError(
            Setting("data.path", path),
            f"cannot be read as a data set ({first_line(error)})",
            "give a folder, or a name that is in the Hugging Face cache (hf download --repo-type dataset NAME)",
        ) from error
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def predefined_test(names: Collection[str]) -> str | None:
    """Return the name of the predefined test; None if there is none."""
    return next((name for name in _TEST_PARTS if name in names), None) if len(names) > 1 else None


def file_versions(path: str | None) -> tuple[tuple[str, int], ...]:
    """Return the files of a folder with their times of modification; nothing for a name in the cache."""
    folder = _folder(path or "")
    files = [file for file in walk(folder) if file.exists()] if path and folder.is_dir() else []
    return tuple((str(file), file.stat().st_mtime_ns) for file in files)


def _folder(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # ~ of an unknown user
        return Path(path)


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _check_files(folder: Path, path: str) -> None:
    """Raise for files that cannot be read, and for folders of the operating system that contain files.

    The library datasets skips hidden folders, but not those such as ``@eaDir``: their files would become rows, and
    would not be part of a run's identity.
    """
    for file in walk(folder):
        check_regular(file, Setting("data.path", path), str(file.relative_to(folder)))
    if _is_saved(folder):  # contains the list of its files
        return
    for parent, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in folders:
            if not is_visible(name) and any(Path(parent, name).rglob("*")):
                raise ConfigError(
                    Setting("data.path", path),
                    f"contains {Path(parent, name).relative_to(folder)}, a folder of the operating system whose files "
                    "would be read as data",
                    "remove it",
                )


def _load_saved(folder: Path) -> Any:
    from datasets import load_from_disk

    return load_from_disk(str(folder))


def _load_dataset(folder: Path, path: str, config: str | None) -> Any:
    from datasets import load_dataset
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if folder.is_dir():
        return load_dataset(str(folder), config)
    try:
        # A download of the command hf; a data set that was only loaded is in the cache of datasets instead.
        source = snapshot_download(path, repo_type="dataset", local_files_only=True)
    except LocalEntryNotFoundError:
        source = path
    return load_dataset(source, config)


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the library datasets from requesting every name from the hub."""
    from datasets import config

    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before
