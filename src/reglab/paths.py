"""The project's own folders (reglab runs from its own checkout), and kinds of files."""

import stat
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CONF = PROJECT / "conf"

_SPECIAL = {
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def special_kind(mode: int) -> str:
    """Return what a file is in words, empty for a regular file: opening a pipe blocks, a device never ends.

    Args:
        mode: `st_mode` of its status.
    """
    return "" if stat.S_ISREG(mode) else _SPECIAL.get(stat.S_IFMT(mode), "no regular file")
