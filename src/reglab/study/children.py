"""The worker processes of a sweep: none outlives it."""

import os
import signal
import threading
import time
from contextlib import suppress

import psutil

_LOOK_EVERY_S = 0.25


def follow(parent: int) -> None:
    """Called in a worker: from now on it ends by itself as soon as the process `parent` is gone.

    Ctrl-C reaches a terminal's whole process group; a worker leaves it to the parent, which ends its workers.

    Args:
        parent: process id of the sweep. It need not be the worker's direct parent.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = psutil.Process(parent)
        process.create_time()  # cached: a process id that is used anew is another process
    except psutil.NoSuchProcess:
        os._exit(1)
    threading.Thread(target=_outlive_nobody, args=(process,), name="reglab-follow", daemon=True).start()


def _outlive_nobody(process: psutil.Process) -> None:
    while _lives(process):
        time.sleep(_LOOK_EVERY_S)
    os._exit(1)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end(grace: float = 2.0) -> int:
    """Ends every process below this one: asks with SIGTERM, then insists with SIGKILL.

    Joblib's resource tracker is left alone: it ends with this process, and complains where it is ended before.

    Args:
        grace: seconds between the two.

    Returns:
        how many were there.
    """
    workers = [child for child in psutil.Process().children(recursive=True) if not _tracks_resources(child)]
    for worker in workers:
        _tell(worker, signal.SIGTERM)
    _, left = psutil.wait_procs(workers, timeout=grace)
    for worker in left:
        _tell(worker, signal.SIGKILL)
    psutil.wait_procs(left, timeout=grace)
    return len(workers)


def _tell(process: psutil.Process, signum: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signum)


def _tracks_resources(process: psutil.Process) -> bool:
    try:
        return any("resource_tracker" in part for part in process.cmdline())
    except psutil.Error:
        return False
