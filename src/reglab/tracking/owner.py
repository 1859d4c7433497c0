"""Which process owns a run, and whether it still lives: what a SIGKILL leaves RUNNING is found and ended."""

import json
import os
import socket
import time
from functools import cache

import psutil

TAG = "owner"
# The kernel's start time moves by a tick with clock corrections; a process id is not reused that fast.
_SAME_START_S = 2.0


@cache
def _started(pid: int) -> float:
    return psutil.Process(pid).create_time()


def me() -> str:
    """This process as JSON: host, pid, started (seconds since the epoch)."""
    pid = os.getpid()
    return json.dumps({"host": socket.gethostname(), "pid": pid, "started": _started(pid)})


def is_me(tag: str | None) -> bool:
    """Whether `tag` names this very process."""
    return tag == me()


def is_dead(tag: str | None) -> bool:
    """Whether the owner is known to be gone. Of other hosts, and of what cannot be read, nothing is known: False."""
    try:
        owner = json.loads(tag or "")
        host, pid, started = str(owner["host"]), int(owner["pid"]), float(owner["started"])
    except (ValueError, TypeError, KeyError):
        return False
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:  # killed, and its parent never asked
            return True
        return abs(process.create_time() - started) > _SAME_START_S
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def now_ms() -> int:
    """MLflow's clock: milliseconds since the epoch."""
    return int(time.time() * 1000)
