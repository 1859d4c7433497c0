"""Ctrl-C and SIGTERM raise an exception that usual handlers do not catch; a second signal ends the process at once."""

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
    """The process received SIGINT or SIGTERM.

    Args:
        signum: number of the signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__("Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """Exit code of a process that a signal has ended, by the convention of shells: 128 + signal."""
        return 128 + self.signum


def use_default_sigint() -> None:
    """Let Ctrl-C end the process without a traceback, during the first imports of an entry point.

    An ignored SIGINT (of a background job in a shell) stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def restore_keyboard_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, after `use_default_sigint`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_pending: int | None = None  # signal that was received and is not acknowledged


def _stop(signum: int, _frame: FrameType | None) -> NoReturn:
    global _pending
    _pending = signum
    raise Stopped(signum)


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` on SIGINT and SIGTERM inside the block; outside the main thread nothing changes.

    Python discards an exception that a signal handler raises inside a finalizer or a callback of C code, and libraries
    catch some. A signal that was lost in this way is raised by the next `raise_if_stopped`, at the latest by the end of
    the block. See also `prefer_stopped`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {signum: signal.signal(signum, _stop) for signum in (signal.SIGINT, signal.SIGTERM)}
    outermost = _stop not in handlers.values()
    hook, sys.unraisablehook = sys.unraisablehook, _without_stops(sys.unraisablehook)
    try:
        with prefer_stopped():
            yield
        raise_if_stopped()
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
        sys.unraisablehook = hook
        if outermost:
            acknowledge_stop()


def raise_if_stopped() -> None:
    """Raise `Stopped` if a signal was received and its exception was discarded."""
    if _pending is not None:
        raise Stopped(_pending)


def _without_stops(hook: Callable[..., object]) -> Callable[..., object]:
    """Return `hook` without its traceback for a discarded `Stopped`, which `raise_if_stopped` raises again."""

    def report(discarded: Any) -> None:
        if not isinstance(discarded.exc_value, Stopped):
            hook(discarded)

    return report


@contextmanager
def prefer_stopped() -> Iterator[None]:
    """Raise `Stopped` in place of another exception that leaves the block after a signal.

    C code and libraries may replace the exception of a signal handler: an extension module whose import is interrupted
    raises ImportError.
    """
    try:
        yield
    except Exception as error:
        if _pending is not None:
            raise Stopped(_pending) from error
        raise


def acknowledge_stop() -> None:
    """Acknowledge the signal, so that no further `Stopped` is raised; call it after catching `Stopped`."""
    global _pending
    _pending = None


MAX_DEFER_S = 5.0  # a server may not answer


@contextmanager
def defer_signals(*, deliver: bool = True) -> Iterator[None]:
    """Defer SIGINT and SIGTERM to the end of the block, so that no run is left half open or half closed.

    `Stopped` is raised in the block if it lasts `MAX_DEFER_S` seconds after the signal. In threads other than the main
    thread, which do not receive signals, this does nothing.

    Args:
        deliver: False: ignore the signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    cancel_functions: list[Callable[[], None]] = []

    def record_signal(signum: int, _frame: FrameType | None) -> None:
        received.append(signum)
        if deliver and not cancel_functions:
            cancel_functions.append(interrupt_later(MAX_DEFER_S, Stopped(signum)))

    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    for s, handler in handlers.items():
        if handler is not None:  # None: set by C code, and cannot be restored
            signal.signal(s, record_signal)
    try:
        yield
    finally:
        for cancel in cancel_functions:
            cancel()
        for s, handler in handlers.items():
            if handler is not None:
                signal.signal(s, handler)
        if received and deliver:  # also if the block has raised an exception
            handler = handlers[signal.Signals(received[0])]
            if callable(handler):  # not raise_signal, which would count as a second signal
                handler(received[0], None)
            else:
                signal.raise_signal(received[0])


_SECOND_SIGNAL_S = 1.0  # earlier ones are the same Ctrl-C, sent to the process group or forwarded by parents
_MAX_ACTIONS_S = 2.0
_actions: list[Callable[[], object]] = []
_listening = False


def end_at_second_signal() -> None:
    """End the process at once when another SIGINT or SIGTERM arrives, a second or more after the first.

    A thread receives the signals, also while the main thread runs C code or waits for a lock or a server. Actions of
    `before_exit_at_once` are done first, for two seconds at most.
    """
    global _listening
    if _listening or threading.current_thread() is not threading.main_thread():
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if hasattr(os, "register_at_fork"):  # signals of a child are not for this process
        os.register_at_fork(after_in_child=_stop_listening)
    threading.Thread(target=_listen, args=(reader,), name="reglab-signals", daemon=True).start()
    _listening = True


@contextmanager
def before_exit_at_once(action: Callable[[], object]) -> Iterator[None]:
    """Call `action` in another thread if a second signal ends the process during the block."""
    _actions.append(action)
    try:
        yield
    finally:
        _actions.remove(action)


def _stop_listening() -> None:
    global _listening
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)
    _listening = False
    _actions.clear()


def _listen(reader: int) -> None:
    first_signal_at: float | None = None
    while True:
        for signum in os.read(reader, 64):
            if signum not in (signal.SIGINT, signal.SIGTERM):
                continue
            now = time.monotonic()
            if first_signal_at is None:
                first_signal_at = now
            elif now - first_signal_at >= _SECOND_SIGNAL_S:
                _exit_now(signum)


def _exit_now(signum: int) -> NoReturn:
    actions = threading.Thread(target=_run_actions, daemon=True)
    actions.start()
    actions.join(_MAX_ACTIONS_S)
    with suppress(OSError):
        os.write(2, f"ended at once by a second {Stopped(signum)}\n".encode())
    exit_at_once(128 + signum)


def _run_actions() -> None:
    for action in reversed(_actions):
        with suppress(Exception):
            action()
