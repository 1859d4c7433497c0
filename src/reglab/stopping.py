"""Ctrl-C and SIGTERM as one exception that no ordinary handler catches; a second one ends the process at once."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from reglab.deadlines import interrupt_later

exit_at_once = os._exit  # ends the process also inside `exits.exits_are_errors`, which replaces os._exit


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


def restore_keyboard_interrupt() -> None:
    """The end of `end_silently`: Ctrl-C raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_pending: int | None = None  # the signal that was received and that no `handled` has acknowledged


def _stop(signum: int, _frame: FrameType | None) -> NoReturn:
    global _pending
    _pending = signum
    raise Stopped(signum)


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` on SIGINT and SIGTERM inside the block; outside the main thread nothing changes.

    Python discards an exception that a signal handler raises inside a finalizer or a callback of C code, and libraries
    catch some. A signal that was lost in this way is raised by the next `raise_if_stopped`, at the latest by the end of
    the block. See also `stop_wins`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, _stop) for s in (signal.SIGINT, signal.SIGTERM)}
    outermost = _stop not in before.values()
    hook, sys.unraisablehook = sys.unraisablehook, _not_stops(sys.unraisablehook)
    try:
        with stop_wins():
            yield
        raise_if_stopped()
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
        sys.unraisablehook = hook
        if outermost:
            acknowledge_stop()


def raise_if_stopped() -> None:
    """Raise `Stopped` where a signal was received and its exception was discarded; costs nothing otherwise."""
    if _pending is not None:
        raise Stopped(_pending)


def _not_stops(hook: Callable[..., object]) -> Callable[..., object]:
    """Return `hook` without its traceback for a discarded `Stopped`, which `raise_if_stopped` raises again."""

    def report(discarded: Any) -> None:
        if not isinstance(discarded.exc_value, Stopped):
            hook(discarded)

    return report


@contextmanager
def stop_wins() -> Iterator[None]:
    """Raise `Stopped` instead of an exception that leaves the block after a signal was received.

    C code and libraries may replace the exception of a signal handler by their own: an extension module whose import is
    interrupted raises ImportError.
    """
    try:
        yield
    except Exception as error:
        if _pending is not None:
            raise Stopped(_pending) from error
        raise


def acknowledge_stop() -> None:
    """Acknowledge the signal. Call it after catching `Stopped`, before an orderly end."""
    global _pending
    _pending = None


HELD_S = 5.0  # a signal is held back for so long at the most: a server may hang


@contextmanager
def defer_signals(*, deliver: bool = True) -> Iterator[None]:
    """Let SIGINT and SIGTERM that arrive inside the block act at its end; with `deliver=False` they are dropped.

    So a run is never left half opened or half closed. A block that goes on for `HELD_S` seconds after the signal is
    left with `Stopped`. Only the main thread receives signals: in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    limits: list[Callable[[], None]] = []

    def remember(signum: int, _frame: FrameType | None) -> None:
        received.append(signum)
        if deliver and not limits:
            limits.append(interrupt_later(HELD_S, Stopped(signum)))

    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    for s, handler in before.items():
        if handler is not None:  # None: set by C code, and could not be restored
            signal.signal(s, remember)
    try:
        yield
    finally:
        for end in limits:
            end()
        for s, handler in before.items():
            if handler is not None:
                signal.signal(s, handler)
        if received and deliver:  # also if the block raised: the process was asked to stop
            handler = before[signal.Signals(received[0])]
            if callable(handler):  # not raise_signal, which would count as a second signal
                handler(received[0], None)
            else:
                signal.raise_signal(received[0])


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
def before_exit_at_once(action: Callable[[], object]) -> Iterator[None]:
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
    exit_at_once(128 + signum)


def _do_last() -> None:
    for action in reversed(_at_once):
        with suppress(Exception):
            action()
