"""Signals are not lost, and sys.exit in a run is an error."""

import os
import pickle
import signal
import subprocess
import sys

import pytest

from reglab.exits import ExitCalled, ExitCode, exits_are_errors
from reglab.schema.errors import is_out_of_memory
from reglab.stopping import Stopped, acknowledge_stop, raise_if_stopped, stoppable


def signal_in_finalizer(signum: int, error: Exception | None = None) -> None:
    """Raise a signal inside a finalizer, where Python discards the handler's exception; then raise `error`."""

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signum)

    Finalized()
    if error is not None:
        raise error


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_whose_exception_was_discarded_is_raised_at_the_next_check(signum: int) -> None:
    reached = []

    def work() -> None:
        with stoppable():
            signal_in_finalizer(signum)
            reached.append("after the signal")
            raise_if_stopped()
            reached.append("after the check")

    with pytest.raises(Stopped) as stopped:
        work()
    assert stopped.value.signum == signum
    assert reached == ["after the signal"]


@pytest.mark.parametrize("error", [None, ImportError("initialization failed")])
def test_a_signal_whose_exception_was_discarded_is_raised_at_the_end_of_the_block(error: Exception | None) -> None:
    with pytest.raises(Stopped) as stopped, stoppable():
        signal_in_finalizer(signal.SIGTERM, error)
    assert stopped.value.exit_code == 143
    assert stopped.value.__cause__ is error


def test_an_acknowledged_stop_is_not_raised_again() -> None:
    with stoppable():
        try:
            signal.raise_signal(signal.SIGTERM)
        except Stopped:
            acknowledge_stop()
    with stoppable():
        raise_if_stopped()


def test_no_stop_is_left_for_a_later_block() -> None:
    with pytest.raises(Stopped), stoppable():
        signal.raise_signal(signal.SIGINT)
    raise_if_stopped()


@pytest.mark.parametrize("code", [0, None, 3, "enough"])
def test_an_exit_is_an_error_whatever_its_code(code: object) -> None:
    with pytest.raises(ExitCalled) as error, exits_are_errors():
        raise SystemExit(code)
    assert error.value.code == code
    assert error.value.source_line.startswith("test_stopping.py:")
    assert error.value.source_line.endswith(" in test_an_exit_is_an_error_whatever_its_code")
    assert isinstance(error.value.__cause__, SystemExit)


def test_os_exit_is_an_error_except_in_a_fork() -> None:
    def ends() -> None:
        with exits_are_errors(), exits_are_errors():
            if (child := os.fork()) == 0:
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            os._exit(0)

    before = os._exit
    with pytest.raises(ExitCalled) as error:
        ends()
    assert (error.value.code, error.value.call) == (0, "os._exit")
    assert error.value.source_line.endswith(" in ends")
    assert pickle.loads(pickle.dumps(error.value)).args == error.value.args
    assert os._exit is before


def test_os_exit_in_a_thread_fails_the_process() -> None:
    code = "import os, threading\nfrom reglab.exits import exits_are_errors\nwith exits_are_errors():\n"
    code += "    thread = threading.Thread(target=os._exit, args=(0,)); thread.start(); thread.join()\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("os._exit(0) was called at ")


def test_an_intended_exit_passes() -> None:
    with pytest.raises(ExitCode) as end, exits_are_errors():
        raise ExitCode(1)
    assert end.value.code == 1


def test_lack_of_memory_is_recognized_by_its_type_through_causes() -> None:
    import torch

    with pytest.raises(RuntimeError) as cpu:
        torch.empty(10**15)
    assert is_out_of_memory(cpu.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    wrapped = ValueError("loading failed")
    wrapped.__cause__ = MemoryError()
    assert is_out_of_memory(wrapped)
    assert not is_out_of_memory(RuntimeError("the memory of an elephant"))
