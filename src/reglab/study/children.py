"""The worker processes of a sweep: none outlives it."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from reglab import streams
from reglab.stopping import exit_at_once

_LOOK_EVERY_S = 0.25


@contextmanager
def born_deaf() -> Iterator[None]:
    """Processes that are started inside never see SIGINT; this one still does.

    Ctrl-C reaches a terminal's whole process group: workers leave it to this process, which ends them, and do not
    fill the terminal with a traceback each, as they would where it finds them in the middle of their imports.
    """
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    # A thread's mask is handed down to processes. The signal still finds a thread here that does not block it, and
    # Python runs its handler in the main thread whichever thread it found.
    done = threading.Event()
    threading.Thread(target=done.wait, name="reglab-hear", daemon=True).start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        done.set()


def follow(parent: int) -> None:
    """Called in a worker: from now on it ends by itself as soon as the process `parent` is gone; streams cannot fail.

    Args:
        parent: process id of the sweep. It need not be the worker's direct parent.
    """
    streams.prepare()
    try:
        process = psutil.Process(parent)
        process.create_time()  # cached: a process id that is used anew is another process
    except psutil.NoSuchProcess:
        exit_at_once(1)
    threading.Thread(target=_outlive_nobody, args=(process,), name="reglab-follow", daemon=True).start()


def _outlive_nobody(process: psutil.Process) -> None:
    while _lives(process):
        time.sleep(_LOOK_EVERY_S)
    exit_at_once(1)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end(grace: float = 2.0) -> int:
    """Ends every process below this one: asks with SIGTERM, then insists with SIGKILL.

    Resource trackers and a fork server are left alone: they end with this process, and Python complains where they are
    ended before. What a fork server has forked is ended.

    Args:
        grace: seconds between the two.

    Returns:
        how many were there.
    """
    workers = [child for child in psutil.Process().children(recursive=True) if not _helps_python(child)]
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


def _helps_python(process: psutil.Process) -> bool:
    try:
        command = " ".join(process.cmdline())
        # What a server has forked has its command line, but another parent.
        return "resource_tracker" in command or (
            "multiprocessing.forkserver" in command and process.ppid() == os.getpid()
        )
    except psutil.Error:
        return False
