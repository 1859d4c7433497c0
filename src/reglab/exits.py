"""Turn ``sys.exit``, ``os._exit`` and other exits in the code of a run into errors that fail the run."""

import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from reglab.stopping import Stopped, exit_at_once, raise_if_stopped
from reglab.user_code.importing import user_line


class ExitCalled(RuntimeError):
    """Code that builds or trains a network called ``sys.exit`` or ``os._exit``.

    Args:
        code: argument of the call.
        call: name of the function.
        source_line: line of the call, as in ``my_net.py:7 in forward``.
    """

    def __init__(self, code: object, call: str = "sys.exit", source_line: str = "") -> None:
        argument = "" if code is None else repr(code)
        location = f" at {source_line}" if source_line else ""
        super().__init__(f"{call}({argument}) was called{location} during a run; remove the call or raise an error")
        self.code, self.call, self.source_line = code, call, source_line

    def __reduce__(self) -> tuple[type["ExitCalled"], tuple[object, str, str]]:
        return (ExitCalled, (self.code, self.call, self.source_line))


class NonExceptionRaised(RuntimeError):
    """Code that builds or trains a network raised an exception that is no ``Exception``, such as KeyboardInterrupt.

    Args:
        description: type and message of the exception.
        source_line: line that raised it, as in ``my_net.py:7 in forward``.
    """

    def __init__(self, description: str, source_line: str) -> None:
        super().__init__(f"{description} was raised at {source_line} during a run; raise a subclass of Exception")
        self.description, self.source_line = description, source_line

    def __reduce__(self) -> tuple[type["NonExceptionRaised"], tuple[str, str]]:
        return (NonExceptionRaised, (self.description, self.source_line))


class ExitCode(SystemExit):
    """The exit code of a command, which `exits_are_errors` does not turn into an error."""


@contextmanager
def exits_are_errors() -> Iterator[None]:
    """Turn ``sys.exit`` and ``os._exit`` inside the block, of a user's network for example, into `ExitCalled`.

    ``os._exit`` would end the process before its run is closed, possibly with exit code 0. In another thread, whose
    exceptions nothing catches, it still ends the process, but never with exit code 0. A process that is forked inside
    the block is not affected.

    Raises:
        ExitCalled: with the line of the call.
        NonExceptionRaised: for a KeyboardInterrupt without a signal, which Lightning turns into an exit.
    """
    process_id, thread_id, original_exit = os.getpid(), threading.get_ident(), os._exit

    def refuse_exit(status: int) -> NoReturn:
        if os.getpid() != process_id:
            exit_at_once(status)
        caller = sys._getframe(1)
        error = ExitCalled(status, "os._exit", _format_source_line(caller, caller.f_lineno))
        if threading.get_ident() == thread_id:
            raise error
        with suppress(OSError):
            os.write(2, f"{error}\n".encode(errors="backslashreplace"))
        exit_at_once(status or 1)

    os._exit = refuse_exit
    try:
        yield
    except ExitCode:
        raise
    except SystemExit as end:
        raise_if_stopped()  # Lightning turns a signal into an exit
        if isinstance(end.__context__, KeyboardInterrupt):
            raise _non_exception_error(end.__context__) from end
        raise ExitCalled(end.code, source_line=_source_line_of(end)) from end
    finally:
        os._exit = original_exit


@contextmanager
def all_are_errors() -> Iterator[None]:
    """Turn exceptions of the block other than ``Exception``, `Stopped` and exits into `NonExceptionRaised`."""
    try:
        yield
    except (Exception, SystemExit, Stopped):
        raise
    except BaseException as error:
        raise_if_stopped()
        raise _non_exception_error(error) from error


def _non_exception_error(error: BaseException) -> NonExceptionRaised:
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    return NonExceptionRaised(text.splitlines()[0], _source_line_of(error))


def _source_line_of(error: BaseException) -> str:
    """Return the line that raised an exception: the innermost one of the user's code, else the innermost one."""
    if source_line := user_line(error):
        return source_line
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return _format_source_line(frame, line)


def _format_source_line(frame: FrameType, line: int) -> str:
    return f"{os.path.basename(frame.f_code.co_filename)}:{line} in {frame.f_code.co_name}"
