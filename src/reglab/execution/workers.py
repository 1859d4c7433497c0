"""Processes that a sweep or study starts: workers, which end with it, and a fork for code that may end its process."""

import gc
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

import psutil

from reglab import streams
from reglab.stopping import exit_at_once

_POLL_S = 0.25
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def block_sigint_in_children() -> Iterator[None]:
    """Block SIGINT in the processes that are started in the block, and not in this one.

    Ctrl-C reaches the whole process group of a terminal. This process ends its workers itself; a worker that handled
    the signal would print a traceback if it was importing modules.
    """
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    # Processes inherit the signal mask of the thread that starts them. The system delivers the signal to another
    # thread of this process, which does not block it, and Python runs the handler in the main thread.
    done = threading.Event()
    threading.Thread(target=done.wait, name="reglab-sigint", daemon=True).start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        done.set()


def end_with_parent(parent: int) -> None:
    """Initialize a worker process: end it as soon as the process `parent` has ended, and make its streams safe.

    Args:
        parent: process id of the sweep, which need not be the direct parent of the worker.
    """
    streams.make_streams_safe()
    try:
        process = psutil.Process(parent)
        process.create_time()  # cached, so that another process with the same id is recognized
    except psutil.NoSuchProcess:
        exit_at_once(1)
    threading.Thread(target=_exit_after, args=(process,), name="reglab-parent", daemon=True).start()


@dataclass(frozen=True)
class WorkerSetup:
    """Prepare a worker that a server has forked: see `end_with_parent`.

    Args:
        parent: process id of the sweep.
        environment: environment of the worker, which may differ from the server's. It may hold secrets, so it is not
            part of the text of this object, which Hydra logs.
    """

    parent: int
    environment: Mapping[str, str] = field(repr=False)

    def __call__(self) -> None:
        """Prepare this process."""
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # see `block_sigint_in_children`
        os.environ.clear()
        os.environ.update(self.environment)
        end_with_parent(self.parent)


def _exit_after(process: psutil.Process) -> None:
    while _is_alive(process):
        time.sleep(_POLL_S)
    exit_at_once(1)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_descendants(grace: float = 2.0) -> int:
    """End every descendant of this process by SIGTERM and then SIGKILL, and return their number.

    Resource trackers and fork servers are not ended: they end with this process, and Python reports an error if they
    end before it. Processes that a fork server has started are ended.

    Args:
        grace: seconds between the two signals.
    """
    processes = [child for child in psutil.Process().children(recursive=True) if not _is_python_helper(child)]
    for process in processes:
        _send_signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=grace)
    for process in alive:
        _send_signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=grace)
    return len(processes)


def _send_signal(process: psutil.Process, signum: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signum)


def _is_python_helper(process: psutil.Process) -> bool:
    try:
        command = " ".join(process.cmdline())
        # A process that a server has forked has the same command line and another parent.
        return "resource_tracker" in command or (
            "multiprocessing.forkserver" in command and process.ppid() == os.getpid()
        )
    except psutil.Error:
        return False


def can_fork() -> bool:
    """Return whether this process can be forked safely: on Linux; libraries of other systems do not support it."""
    return sys.platform == "linux"


class ForkDiedError(Exception):
    """A forked process ended without returning a result.

    Args:
        code: exit code of the process, or minus the number of the signal that ended it.
    """

    def __init__(self, code: int) -> None:
        reason = f"exit code {code}" if code >= 0 else _signal_name(-code)
        super().__init__(f"{reason}{' (perhaps out of memory)' if code == -signal.SIGKILL else ''}")
        self.code = code


def _signal_name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:  # most real-time signals have no name
        return f"signal {signum}"


class ForkedFunction:
    """A function that is called in a forked process, which the code of the function may end.

    The process is forked at the first call, and again at the first call after its end. It has the objects, streams and
    working folder of this process, and one thread: torch must use one thread in it. It ends with this process, or by
    `close`, without exit handlers.

    Args:
        function: takes a number and returns a JSON value.
    """

    def __init__(self, function: Callable[[int], object]) -> None:
        self._function = function
        self._process: Any = None
        self._pipe: Connection | None = None

    def __call__(self, number: int) -> Any:
        """Return ``function(number)``.

        Raises:
            ForkDiedError: the process ended before it answered.
        """
        if self._process is None:
            self._start()
        assert self._pipe is not None
        try:
            self._pipe.send_bytes(json.dumps(number).encode())
            # A process that the function has started may keep the pipe open after the end of the fork.
            while not wait([self._pipe, self._process.sentinel], 1.0) and self._process.exitcode is None:
                pass
            if self._pipe.poll():
                return json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            pass
        self._process.join()
        code = self._process.exitcode
        self.close()
        raise ForkDiedError(code)

    def _start(self) -> None:
        self._pipe, other_end = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=self._serve, args=(other_end, os.getpid()))
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)  # until the fork has set its handlers
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # about the other threads of this process
                process.start()
            self._process = process
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        other_end.close()

    def _serve(self, pipe: Connection, parent: int) -> NoReturn:
        gc.freeze()  # or the collector could close connections of the parent
        for signum in _STOP_SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        if self._pipe is not None:
            self._pipe.close()  # the parent's end of the pipe, which this copy would keep open
        end_with_parent(parent)
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
