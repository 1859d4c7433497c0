"""Waits that are announced after three seconds, and end at a limit.

One thread monitors all waits in progress. It also runs while the main thread is inside C code.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

ANNOUNCE_S = 3.0
_LOOK_EVERY_S = 0.2
_AGAIN_S = 1.0
_REPEAT_S = 60.0  # the same line is not written again within this time
# Ignored by default: one that arrives too late does nothing. Python reports it to the main thread between two
# instructions, and system calls return for it.
_SIGNAL = getattr(signal, "SIGURG", None)


class Overdue(BaseException):
    """A block of `waiting` lasted longer than its limit. Not an Exception: libraries retry after those.

    Args:
        seconds: the limit.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s")
        self.seconds = seconds


@dataclass(eq=False)
class _Wait:
    """A block under way; times are those of `time.monotonic`."""

    line: str | Callable[[], str] | None
    announce_at: float
    due: float | None
    error: BaseException | None
    interrupts: bool


_waits: list[_Wait] = []
_written: dict[str, float] = {}
_watcher: threading.Thread | None = None


@contextlib.contextmanager
def waiting(
    line: str | Callable[[], str] | None = None,
    *,
    after: float = ANNOUNCE_S,
    limit: float | None = None,
    error: BaseException | None = None,
) -> Iterator[None]:
    """Announce on standard error what the block waits for, and end the block at a limit.

    Args:
        line: what it waits for, or a function that returns it when it is written; None: write nothing.
        after: seconds before the line is written.
        limit: seconds before `error` is raised inside the block. It reaches Python code and system calls of the main
            thread; C code that does not handle signals ends first, and other threads have no limit.
        error: what is raised; default `Overdue(limit)`.
    """
    now = time.monotonic()
    wait = _Wait(line, now + after, None, None, _can_interrupt())
    if limit is not None:
        wait.due, wait.error = now + limit, error or Overdue(limit)
    _begin(wait)
    try:
        yield
    finally:
        _end(wait)


def interrupt_later(seconds: float, error: BaseException) -> Callable[[], None]:
    """Raise `error` in the main thread after some seconds, unless the function returned here is called before."""
    wait = _Wait(None, 0.0, time.monotonic() + seconds, error, _can_interrupt())
    _begin(wait)
    return lambda: _end(wait)


def _begin(wait: _Wait) -> None:
    global _watcher
    if wait.interrupts and signal.getsignal(_SIGNAL) is not _raise_due:  # type: ignore[arg-type]
        signal.signal(_SIGNAL, _raise_due)  # type: ignore[arg-type]
    _waits.append(wait)
    if _watcher is None or not _watcher.is_alive():
        _watcher = threading.Thread(target=_watch, name="reglab-deadlines", daemon=True)
        _watcher.start()


def _end(wait: _Wait) -> None:
    with contextlib.suppress(ValueError):
        _waits.remove(wait)


def _can_interrupt() -> bool:
    return _SIGNAL is not None and threading.current_thread() is threading.main_thread()


def _watch() -> None:
    while True:
        time.sleep(_LOOK_EVERY_S)
        now = time.monotonic()
        for wait in list(_waits):
            if wait.line is not None and now >= wait.announce_at:
                _announce(wait.line if isinstance(wait.line, str) else wait.line(), now)
                wait.line = None
            if wait.due is not None and now >= wait.due and wait.interrupts:
                signal.pthread_kill(threading.main_thread().ident, _SIGNAL)  # type: ignore[arg-type]


def _announce(line: str, now: float) -> None:
    if now - _written.get(line, -_REPEAT_S) < _REPEAT_S:
        return
    _written[line] = now
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _raise_due(_signum: int, _frame: FrameType | None) -> None:
    now = time.monotonic()
    for wait in list(_waits):
        if wait.due is not None and now >= wait.due and wait.error is not None:
            wait.due = now + _AGAIN_S  # clean-up code on the way out may wait for the same
            raise wait.error


def _forget() -> None:
    """Forget the waits of the parent process and their thread, in a forked child."""
    global _watcher
    _waits.clear()
    _watcher = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
