"""Data sets of the Hugging Face hub that are on this machine: in a folder, or in the cache. Nothing is downloaded."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reglab.errors import ConfigError

if TYPE_CHECKING:
    from datasets import Dataset

TESTS = ("test", "validation", "valid", "val")  # of these the first that is there is the data set's own test part


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
    if not path:
        raise ConfigError("data.path=null: give a folder with a data set, or a name in the Hugging Face cache")
    key = f"data.path={path}"
    folder = Path(path).expanduser()
    if folder.is_file():
        raise ConfigError(f"{key}: is a file; give its folder, or use data=csv for a table")
    try:
        with _offline():
            found = _saved(folder) if _is_saved(folder) else _loaded(folder, path, config)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f"{key}: no data set can be read from it ({lines[0]}); give a folder, or a name that is in the Hugging "
            "Face cache (hf download --repo-type dataset NAME)"
        ) from error
    return dict(found) if isinstance(found, dict) else {"train": found}


def test_part(names: Collection[str]) -> str | None:
    """Which of the parts is the data set's own test; None where it has none."""
    return next((name for name in TESTS if name in names), None) if len(names) > 1 else None


def version(path: str | None) -> tuple[tuple[str, int], ...]:
    """The files of a folder with the times of their last changes; of a name nothing."""
    folder = Path(path or "").expanduser()
    files = sorted(folder.rglob("*")) if path and folder.is_dir() else []
    return tuple((str(file), file.stat().st_mtime_ns) for file in files)


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


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
