"""Liveness of runs: the process that owns a run, the heartbeat that it sends, and whether it still works on the run.

On this host the owner's process is checked; on other hosts and in containers its heartbeat. So a run that
was left RUNNING by a SIGKILL is detected and marked KILLED.
"""

import json
import math
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from mlflow import MlflowClient

OWNER_TAG = "owner"
HEARTBEAT_TAG = "heartbeat"
BEAT_EVERY_S = 30.0
SILENT_S = 300.0  # ten beats: longer than a server's restart or the clock difference of two hosts
_AHEAD_S = 60.0  # a beat further in the future is not valid: clocks of two hosts differ less
_LONGEST_OWNER, _LONGEST_BEAT = 2000, 50  # characters of a tag
_STOP_S = 10.0  # timeout of a request


class Heartbeat:
    """Update a run's tag `heartbeat` from a thread, however long an epoch takes.

    A beat that cannot be sent is skipped: the run itself reports that the store does not answer. A forked child process
    has no such thread, and owns no run.

    Args:
        client: MLflow's client, without retries.
        run_id: the run, which should be created with a first beat (`beat`).
        every: seconds between beats.
    """

    def __init__(self, client: "MlflowClient", run_id: str, every: float = BEAT_EVERY_S) -> None:
        self._client = client
        self._run_id = run_id
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reglab-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no further beat; one that is being sent is waited for (10 s at most: the server may hang)."""
        self._ended.set()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            with suppress(Exception):
                self._client.set_tag(self._run_id, HEARTBEAT_TAG, beat())


def beat() -> str:
    """Return a heartbeat: the seconds since the epoch, as text."""
    return f"{time.time():.0f}"


def this_process() -> str:
    """Return this process as JSON: host, its namespace of process ids (containers have their own), pid and start."""
    pid = os.getpid()
    return json.dumps({"host": socket.gethostname(), "ids": _namespace(), "pid": pid, "born": _my_start(pid)})


def is_this_process(owner: str | None) -> bool:
    """Return whether an owner tag names this process."""
    return owner == this_process()


def has_ended(owner: str | None) -> bool:
    """Return whether the owner's process is known to have ended; False for processes of other hosts and containers."""
    process = _parse_owner(owner)
    if process is None or not _is_here(process):
        return False
    try:
        if psutil.Process(process["pid"]).status() == psutil.STATUS_ZOMBIE:  # killed, and its parent did not wait
            return True
        return _start(process["pid"]) != process["born"]
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def is_elsewhere(owner: str | None) -> bool:
    """Return whether the owner is a process of another host or container; False for a tag that names no process."""
    process = _parse_owner(owner)
    return process is not None and not _is_here(process)


def names_a_process(owner: str | None) -> bool:
    """Return whether an owner tag can be read."""
    return _parse_owner(owner) is not None


def describe_owner(owner: str | None) -> str:
    """Return the owner in words, as in ``process 12 on host a``."""
    process = _parse_owner(owner)
    if process is None:
        return "an unknown process"
    return f"process {process['pid']} on " + ("this host" if _is_here(process) else f"host {process['host']}")


def cause_of_death(tags: Mapping[str, str]) -> str | None:
    """Return in one line why the owner of a RUNNING run is considered dead; None if it is alive, or its state unknown.

    On this host the process itself is checked, on other hosts and in other containers its heartbeat, if it has one.
    """
    if has_ended(tags.get(OWNER_TAG)):
        return "its process ended without closing it"
    silent = seconds_since_beat(tags)
    if is_elsewhere(tags.get(OWNER_TAG)) and silent is not None and silent > SILENT_S:
        return f"no heartbeat for {SILENT_S / 60:.0f} minutes: its process on another host is considered dead"
    return None


def is_alive(tags: Mapping[str, str]) -> bool:
    """Return whether the owner of a RUNNING run works on it, as far as is known: it sends beats and has not ended.

    False if the owner tag cannot be read: every run of reglab has one, and without it an ended owner goes unnoticed.
    """
    silent, owner = seconds_since_beat(tags), tags.get(OWNER_TAG)
    return silent is not None and silent <= SILENT_S and names_a_process(owner) and not has_ended(owner)


def seconds_since_beat(tags: Mapping[str, str]) -> float | None:
    """Return the seconds since the last beat, at least -60; None if there is none, or its time is not valid."""
    try:
        seconds = time.time() - float(tags[HEARTBEAT_TAG][:_LONGEST_BEAT])
    except (KeyError, ValueError, OverflowError):
        return None
    return seconds if -_AHEAD_S <= seconds < math.inf else None


def reason_not_to_wait(tags: Mapping[str, str]) -> str:
    """Return the reason, in a few words, not to wait for a RUNNING run for which `is_alive` is False."""
    if reason := cause_of_death(tags) or unknown_owner(tags):
        return reason
    silent = seconds_since_beat(tags)
    return "it has no valid heartbeat" if silent is None else f"its process has sent no heartbeat for {silent:.0f} s"


def unknown_owner(tags: Mapping[str, str]) -> str | None:
    """Return the reason why the owner of a RUNNING run cannot be checked, in a few words; None if it can."""
    if not names_a_process(tags.get(OWNER_TAG)):
        return f"its tag {OWNER_TAG} names no process"
    if is_elsewhere(tags[OWNER_TAG]) and seconds_since_beat(tags) is None:
        return f"its tag {HEARTBEAT_TAG} is not a valid time"
    return None


def lock_holder(path: Path) -> str | None:
    """Return the process that holds a lock on a file, ``process 123 (stopped)``; None if Linux lists none."""
    with suppress(OSError, ValueError):
        status = path.stat()
        file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = line.split()
            if "->" in fields or file not in fields or "WRITE" not in fields:
                continue
            pid = int(fields[fields.index(file) - 1])
            if pid not in (os.getpid(), -1):
                with suppress(psutil.Error):
                    return f"process {pid} ({psutil.Process(pid).status()})"
                return f"process {pid}"
    return None


def _parse_owner(owner: str | None) -> dict[str, Any] | None:
    """Return the process that an owner tag names; None for a text that `this_process` cannot have written.

    A process id is between 1 and 2^31 - 1: the system interprets 0 and negative ones as process groups.
    """
    if owner is None or len(owner) > _LONGEST_OWNER:
        return None
    try:
        fields = json.loads(owner)
        named = {key: str(fields[key]) for key in ("host", "ids", "born")}
        pid = fields["pid"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if isinstance(pid, bool) or not isinstance(pid, int) or not 0 < pid < 2**31:
        return None
    return {**named, "pid": pid}


def _is_here(process: dict[str, Any]) -> bool:
    return (process["host"], process["ids"]) == (socket.gethostname(), _namespace())


@cache
def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _start(pid: int) -> str:
    """Return a key that differs between processes of the same id: the boot and the ticks since then.

    On Linux the start time itself changes when the clock is set, and a live owner would be considered dead. On other
    systems it is the start time.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        return f"{boot}:{after_name.split()[19]}"  # starttime, the 22nd field of the line
    except OSError:
        return f"{psutil.Process(pid).create_time():.0f}"


_my_start = cache(_start)
