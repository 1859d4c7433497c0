"""Holds Ctrl-C and SIGTERM back for a moment, so that a run is never left half opened or half closed."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from reglab.deadlines import interrupt_later
from reglab.stopping import Stopped

HELD_S = 5.0  # a signal is held back for so long at the most: a server may hang
CLOSE_S = 10.0  # a process that was stopped takes so long at the most to close a run


@contextmanager
def signals_held(*, deliver: bool = True) -> Iterator[None]:
    """SIGINT and SIGTERM that arrive inside the block act at its end; with `deliver=False` they are dropped.

    A block that goes on for `HELD_S` seconds after the signal is left with `Stopped`.
    Only the main thread receives signals: in others nothing changes.
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
        if handler is not None:  # None: set by C code, and could not be put back
            signal.signal(s, remember)
    try:
        yield
    finally:
        for end in limits:
            end()
        for s, handler in before.items():
            if handler is not None:
                signal.signal(s, handler)
        if received and deliver:  # where the block raised, too: who asked for an end must get it
            handler = before[signal.Signals(received[0])]
            if callable(handler):  # not raise_signal, which would count as a second signal
                handler(received[0], None)
            else:
                signal.raise_signal(received[0])
