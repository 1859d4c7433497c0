"""Ctrl-C and SIGTERM as one exception that nobody on the way takes for an ordinary error; a second one ends at once."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn


class Stopped(BaseException):
    """The user or the system asked this process to stop.

    Args:
        signum: the signal that asked.
    """

    def __init__(self, signum: int) -> None:
        super().__init__("Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended: 128 + signal."""
        return 128 + self.signum


def end_silently() -> None:
    """From now on Ctrl-C ends the process as the system does, without a traceback: for the time of the first imports.

    Where the shell had SIGINT ignored (a job in the background), it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def tell() -> None:
    """The end of `end_silently`: Ctrl-C raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop(signum: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped(signum)


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGINT and SIGTERM raise `Stopped` inside the block; outside the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, _stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


_AGAIN_S = 1.0  # Ctrl-C reaches a whole process group, and may be passed on as well: what comes within this is one
_LAST_S = 2.0
_at_once: list[Callable[[], object]] = []
_listening = False


def end_at_second_signal() -> None:
    """From now on another SIGINT or SIGTERM, a second or more after the first, ends the process at once.

    A thread receives them as they arrive, so that it does not matter what the main thread is doing: it may be inside
    C code, wait for a lock or for a server. What `at_once` has registered is done first, for two seconds at most.
    """
    global _listening
    if _listening or threading.current_thread() is not threading.main_thread():
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if hasattr(os, "register_at_fork"):  # the signals of a child are not this process's
        os.register_at_fork(after_in_child=_deafen)
    threading.Thread(target=_listen, args=(reader,), name="reglab-signals", daemon=True).start()
    _listening = True


@contextmanager
def at_once(action: Callable[[], object]) -> Iterator[None]:
    """Inside the block a second signal does `action` in another thread before it ends the process."""
    _at_once.append(action)
    try:
        yield
    finally:
        _at_once.remove(action)


def _deafen() -> None:
    global _listening
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)
    _listening = False
    _at_once.clear()


def _listen(reader: int) -> None:
    first: float | None = None
    while True:
        for signum in os.read(reader, 64):
            if signum not in (signal.SIGINT, signal.SIGTERM):
                continue
            now = time.monotonic()
            if first is None:
                first = now
            elif now - first >= _AGAIN_S:
                _end_now(signum)


def _end_now(signum: int) -> NoReturn:
    last = threading.Thread(target=_do_last, daemon=True)
    last.start()
    last.join(_LAST_S)
    with suppress(OSError):
        os.write(2, f"ended at once by a second {Stopped(signum)}\n".encode())
    os._exit(128 + signum)


def _do_last() -> None:
    for action in reversed(_at_once):
        with suppress(Exception):
            action()
