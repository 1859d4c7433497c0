"""What a user's file holds, as a hash."""

import functools
import hashlib
import time
from pathlib import Path

from reglab.data.files import check_regular, walk
from reglab.schema.errors import Setting

_looked: dict[str, tuple[float, str]] = {}  # folder: (time at which its digest expires, digest)
_SLOW_S, _KEEP = 0.05, 20  # seconds; a digest that took longer is kept for this many times as long


def content(path: str | Path, setting: Setting | None = None) -> str:
    """SHA-256 of a file's bytes, or of a folder's visible files, names and bytes (hex).

    The digest of a file is cached until its size or time of modification changes. That of a large folder is cached for
    twenty times as long as it took to compute, so that a study does not read the folder for each config.

    Args:
        path: a file or folder.
        setting: that gave the path, for error messages; None: the path alone.

    Raises:
        ConfigError: see `check_regular`.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _folder(path)
    check_regular(path, setting or str(path))
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
