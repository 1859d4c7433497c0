"""What is made aside and moved to its place whole: files and folders. What a kill leaves of them is removed."""

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

import psutil

_OLD_S = 3600.0  # of another host, or without a process id in its name
_NAME = re.compile(r"(?:([0-9]+)@(.*)-)?[a-z0-9_]{8}")


@contextmanager
def draft_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, removed at the end of the block; those that dead processes left are removed first.

    Args:
        target: a file or folder that need not exist; its parent must.
    """
    remove_left_over(target)
    prefix = f".{target.name}-{os.getpid()}@{socket.gethostname()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=target.parent) as folder:
        yield Path(folder)


def write_whole(target: Path, text: str) -> None:
    """Write a file, or replace it, so that it is never there in part."""
    for part in target.parent.glob(f".{escape(target.name)}.*.part"):
        pid = part.name.split(".")[-2]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            part.unlink(missing_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(target)


def remove_left_over(target: Path) -> list[Path]:
    """Remove the drafts of `target` whose process is gone; returns them."""
    start = f".{target.name}-"
    names = [name for name in os.listdir(target.parent) if name.startswith(start)]
    left = [target.parent / name for name in names if _is_left_over(target.parent / name, name.removeprefix(start))]
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    return left


def _is_left_over(folder: Path, rest: str) -> bool:
    found = _NAME.fullmatch(rest)
    if found is None or not folder.is_dir() or folder.is_symlink():
        return False
    pid, host = found.groups()
    if pid is not None and host == socket.gethostname():
        return not psutil.pid_exists(int(pid))
    try:
        return time.time() - folder.stat().st_mtime > _OLD_S
    except OSError:
        return False
