"""Holds Ctrl-C and SIGTERM back for a moment, so that a run is never left half opened or half closed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signals_held(*, deliver: bool = True) -> Iterator[None]:
    """SIGINT and SIGTERM that arrive inside the block act at its end; with `deliver=False` they are dropped.

    Only the main thread receives signals: in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def remember(signum: int, _frame: FrameType | None) -> None:
        received.append(signum)

    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    for s, handler in before.items():
        if handler is not None:  # None: set by C code, and could not be put back
            signal.signal(s, remember)
    try:
        yield
    finally:
        for s, handler in before.items():
            if handler is not None:
                signal.signal(s, handler)
        if received and deliver:  # where the block raised, too: who asked for an end must get it
            signal.raise_signal(received[0])
