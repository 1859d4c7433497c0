"""What a user's file holds, as a hash."""

import functools
import hashlib
from pathlib import Path

from reglab.data.files import check_regular


def content(path: str | Path, key: str | None = None) -> str:
    """SHA-256 of a file's bytes, or of a folder's file names and bytes (hex); remembered until the file changes.

    Args:
        path: of the file or folder.
        key: begins a message: what gave the path, and the path; None: the path.

    Raises:
        ConfigError: see `check_regular`.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        whole = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            whole.update(f"{file.relative_to(path).as_posix()}\0{content(file)}\0".encode())
        return whole.hexdigest()
    check_regular(path, key or str(path))
    state = path.stat()
    return _file(str(path.resolve()), state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _file(path: str, size: int, modified_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
