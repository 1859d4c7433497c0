"""What a user's file holds, as a hash."""

import functools
import hashlib
import time
from pathlib import Path

from reglab.data.files import check_regular, walk

_looked: dict[str, tuple[float, str]] = {}  # folders: until when what was found is taken to hold, and what
_SLOW_S, _KEEP = 0.05, 20  # a look that took longer is not repeated before so many times as long


def content(path: str | Path, key: str | None = None) -> str:
    """SHA-256 of a file's bytes, or of a folder's visible files, names and bytes (hex).

    It is remembered until the file changes. A folder of thousands of files is not looked at again for each of a study's
    configs, but after twenty times as long as a look takes.

    Args:
        path: of the file or folder.
        key: begins a message: what gave the path, and the path; None: the path.

    Raises:
        ConfigError: see `check_regular`.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _folder(path)
    check_regular(path, key or str(path))
    state = path.stat()
    return _file(str(path.resolve()), state.st_size, state.st_mtime_ns)


def _folder(path: Path) -> str:
    key, began = str(path.resolve()), time.monotonic()
    if key in _looked and began < _looked[key][0]:
        return _looked[key][1]
    whole = hashlib.sha256()
    for file in sorted(walk(path)):
        whole.update(f"{file.relative_to(path).as_posix()}\0{content(file)}\0".encode())
    took = time.monotonic() - began
    if took > _SLOW_S:
        _looked[key] = (began + _KEEP * took, whole.hexdigest())
    return whole.hexdigest()


@functools.lru_cache(maxsize=1 << 17)  # files of a folder of images
def _file(path: str, size: int, modified_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
