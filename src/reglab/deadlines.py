"""Time limits for blocks of code, and a line on standard error if a block takes long.

One thread monitors all blocks in progress, also while the main thread runs C code.
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
_POLL_S = 0.2
_AGAIN_S = 1.0  # seconds after which the error is raised again if the block has not ended
_REPEAT_S = 60.0  # the same line is not written again within this time
# By default this signal is ignored, so that a late one has no effect. Python handles it in the main thread between two
# instructions, and it interrupts system calls.
_SIGNAL = getattr(signal, "SIGURG", None)


class Overdue(BaseException):
    """A block of `waiting` took longer than its limit. Not an `Exception`, which libraries catch and retry.

    Args:
        seconds: the limit.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s")
        self.seconds = seconds


@dataclass(eq=False)
class _Wait:
    """A block in progress; times are those of `time.monotonic`."""

    line: str | Callable[[], str] | None
    announce_at: float
    due: float | None
    error: BaseException | None
    interrupts: bool


_waits: list[_Wait] = []
_written: dict[str, float] = {}  # each line that was written, with its latest time
_watcher: threading.Thread | None = None


@contextlib.contextmanager
def waiting(
    line: str | Callable[[], str] | None = None,
    *,
    after: float = ANNOUNCE_S,
    limit: float | None = None,
    error: BaseException | None = None,
) -> Iterator[None]:
    """Print a line if the block takes long, and end the block at a limit.

    Args:
        line: printed on standard error, or a function that returns it when it is printed; None: nothing is printed.
        after: seconds before the line is printed.
        limit: seconds before `error` is raised inside the block. Python code and system calls of the main thread are
            interrupted; C code that does not handle signals is not, and other threads have no limit.
        error: default `Overdue(limit)`.

    Raises:
        Overdue: the block took longer than `limit`.
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
    """Raise `error` in the main thread after some seconds; return a function that cancels this."""
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
        time.sleep(_POLL_S)
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
            wait.due = now + _AGAIN_S  # code that handles the error may wait as well
            raise wait.error


def _clear() -> None:
    """Remove the waits of the parent process, whose thread a forked child does not have."""
    global _watcher
    _waits.clear()
    _watcher = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_clear)
