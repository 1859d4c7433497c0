"""Processes below a sweep or study: workers, none of which outlives it, and a fork for code that may kill it."""

import gc
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

import psutil

from reglab import streams
from reglab.stopping import exit_at_once

_LOOK_EVERY_S = 0.25
_STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def block_sigint_in_children() -> Iterator[None]:
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
    """End every descendant of this process by SIGTERM, then by SIGKILL.

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


def can_fork() -> bool:
    """Whether a fork of this process is reliable: on Linux; libraries of other systems do not survive it."""
    return sys.platform == "linux"


class DiedError(Exception):
    """A forked process ended without an answer.

    Args:
        code: its exit code; minus the number of the signal that ended it.
    """

    def __init__(self, code: int) -> None:
        how = f"exit code {code}" if code >= 0 else _signal_name(-code)
        super().__init__(f"{how}{' (perhaps out of memory)' if code == -signal.SIGKILL else ''}")
        self.code = code


def _signal_name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:  # of real-time signals only the first and the last have a name
        return f"signal {signum}"


class Forked:
    """Calls of a function in one forked process: the code that it runs may end that process.

    The process is forked at the first call, and again at the call after its death. It has the objects, streams and
    working folder of this process and one thread, so that torch should use one thread there as well. It ends with this
    process, or by `close`, without exit handlers.

    Args:
        function: from a number to what JSON can hold.
    """

    def __init__(self, function: Callable[[int], object]) -> None:
        self._function = function
        self._process: Any = None
        self._pipe: Connection | None = None

    def __call__(self, number: int) -> Any:
        """Return ``function(number)``.

        Raises:
            DiedError: the process ended before it answered.
        """
        if self._process is None:
            self._start()
        assert self._pipe is not None
        try:
            self._pipe.send_bytes(json.dumps(number).encode())
            # A process that the function started may keep the pipes open after the fork has ended.
            while not wait([self._pipe, self._process.sentinel], 1.0) and self._process.exitcode is None:
                pass
            if self._pipe.poll():
                return json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            pass
        self._process.join()
        code = self._process.exitcode
        self.close()
        raise DiedError(code)

    def _start(self) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=self._serve, args=(theirs, os.getpid()))
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # until the fork has handlers of its own
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the other threads of this process
                process.start()
            self._process = process
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def _serve(self, pipe: Connection, parent: int) -> NoReturn:
        gc.freeze()  # connections of the parent are not to be closed here
        for signum in _STOPS:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        if self._pipe is not None:
            self._pipe.close()  # the other end, or its own copy would keep it open
        follow(parent)
        try:
            while True:
                answer = self._function(json.loads(pipe.recv_bytes()))
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
                pipe.send_bytes(json.dumps(answer).encode())
        except (EOFError, OSError):  # the parent has closed the pipe
            exit_at_once(0)

    def close(self) -> None:
        """End the forked process."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._pipe = self._process = None
