"""Atomic writes of files and folders, and kinds of files.

A file or folder is first written under a temporary name (a draft) in the same folder, and then renamed. Drafts of
processes that were killed are removed.
"""

import os
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import psutil

_MAX_DRAFT_AGE_S = 3600.0  # age of a draft of another host, or without a process id in its name, that is removed
_DRAFT_SUFFIX = re.compile(r"(?:([0-9]+)@(.*)-)?[a-z0-9_]{8}")
_SPECIAL = {
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def special_kind(mode: int) -> str:
    """Return the kind of a special file, empty for a regular file (opening a pipe blocks, reading a device never ends).

    Args:
        mode: ``st_mode`` of its status.

    >>> special_kind(os.stat(".").st_mode)
    'a folder'
    """
    return "" if stat.S_ISREG(mode) else _SPECIAL.get(stat.S_IFMT(mode), "not a regular file")


def is_path(text: str) -> bool:
    """Return whether a text names an existing file or folder."""
    try:
        return bool(text) and Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a null byte, or no home
        return False


def map_paths(value: Any, convert: Callable[[str, str], Any], key: str = "") -> Any:
    """Replace each text in nested mappings and lists that names an existing file or folder.

    Args:
        value: plain values.
        convert: called with the path and its dotted key, returns the replacement.
        key: dotted key of the value.

    >>> map_paths({"folder": ".", "size": [1, "a"]}, lambda path, key: f"{key} is a path")
    {'folder': 'folder is a path', 'size': [1, 'a']}
    """
    if isinstance(value, Mapping):
        return {name: map_paths(item, convert, f"{key}.{name}" if key else str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [map_paths(item, convert, key) for item in value]
    return convert(value, key) if isinstance(value, str) and is_path(value) else value


def existing_paths(value: Any) -> list[str]:
    """Return the texts in nested mappings and lists that name an existing file or folder."""
    paths: list[str] = []
    map_paths(value, lambda path, _: paths.append(path))
    return paths


@contextmanager
def draft_folder(target: Path) -> Iterator[Path]:
    """Make a folder beside `target`, removed at the end of the block; drafts of dead processes are removed first.

    Args:
        target: a file or folder that need not exist; its parent must.
    """
    remove_old_drafts(target)
    prefix = f".{target.name}-{os.getpid()}@{socket.gethostname()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=target.parent) as folder:
        yield Path(folder)


def write_whole(target: Path, text: str) -> None:
    """Write or replace a file, so that readers see the old text or the new one, never a part."""
    for part in target.parent.glob(f".{escape(target.name)}.*.part"):
        pid = part.name.split(".")[-2]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            part.unlink(missing_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(target)


def remove_old_drafts(target: Path) -> list[Path]:
    """Remove the drafts of `target` whose process has ended, and return their paths."""
    start = f".{target.name}-"
    names = [name for name in os.listdir(target.parent) if name.startswith(start)]
    drafts = [target.parent / name for name in names if _is_abandoned(target.parent / name, name.removeprefix(start))]
    for folder in drafts:
        shutil.rmtree(folder, ignore_errors=True)
    return drafts


def _is_abandoned(folder: Path, suffix: str) -> bool:
    """Return whether the process of a draft has ended, or, if it cannot be known, whether the draft is old."""
    match = _DRAFT_SUFFIX.fullmatch(suffix)
    if match is None or not folder.is_dir() or folder.is_symlink():
        return False
    pid, host = match.groups()
    if pid is not None and host == socket.gethostname():
        return not psutil.pid_exists(int(pid))
    try:
        return time.time() - folder.stat().st_mtime > _MAX_DRAFT_AGE_S
    except OSError:
        return False
