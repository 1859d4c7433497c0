"""Which process owns a run, and whether it still lives: what a SIGKILL leaves RUNNING is found and ended."""

import json
import os
import socket
import time
from functools import cache
from pathlib import Path
from typing import Any

import psutil

TAG = "owner"
_LONGEST = 2000  # characters of a tag


def me() -> str:
    """This process as JSON: host, its namespace of process ids (containers have their own), pid, born (see `_born`)."""
    pid = os.getpid()
    return json.dumps({"host": socket.gethostname(), "ids": _namespace(), "pid": pid, "born": _my_birth(pid)})


def is_me(tag: str | None) -> bool:
    """Whether `tag` names this very process."""
    return tag == me()


def is_dead(tag: str | None) -> bool:
    """Whether the owner is known to be gone. Of other hosts and containers nothing is known: False."""
    owner = _read(tag)
    if owner is None or not _is_here(owner):
        return False
    pid, born = owner["pid"], owner["born"]
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:  # killed, and its parent never asked
            return True
        return _born(pid) != born
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def is_elsewhere(tag: str | None) -> bool:
    """Whether the owner is a process of another host or container; False for what is no owner."""
    owner = _read(tag)
    return owner is not None and not _is_here(owner)


def is_readable(tag: str | None) -> bool:
    """Whether `tag` names a process at all."""
    return _read(tag) is not None


def description(tag: str | None) -> str:
    """Return the owner in words, as in ``process 12 on host a``."""
    owner = _read(tag)
    if owner is None:
        return "an unknown process"
    return f"process {owner['pid']} on " + ("this host" if _is_here(owner) else f"host {owner['host']}")


def _read(tag: str | None) -> dict[str, Any] | None:
    """The owner that a tag names; None for anything but what `me` writes.

    A process id counts from 1 to 2^31 - 1: 0 and negative ones mean groups of processes to the system.
    """
    if tag is None or len(tag) > _LONGEST:
        return None
    try:
        owner = json.loads(tag)
        named = {key: str(owner[key]) for key in ("host", "ids", "born")}
        pid = owner["pid"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if isinstance(pid, bool) or not isinstance(pid, int) or not 0 < pid < 2**31:
        return None
    return {**named, "pid": pid}


def _is_here(owner: dict[str, Any]) -> bool:
    return (owner["host"], owner["ids"]) == (socket.gethostname(), _namespace())


@cache
def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _born(pid: int) -> str:
    """What tells a process from a later one of the same id: the boot and the ticks since then, or its start time.

    On Linux the start time itself moves whenever the clock is set, and a living owner would be taken for dead.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        return f"{boot}:{after_name.split()[19]}"  # the 22nd field of all: starttime
    except OSError:
        return f"{psutil.Process(pid).create_time():.0f}"


_my_birth = cache(_born)


def now_ms() -> int:
    """MLflow's clock: milliseconds since the epoch."""
    return int(time.time() * 1000)
