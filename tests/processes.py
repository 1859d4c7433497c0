"""Processes that start fast: forked from a server that has imported torch, Lightning and MLflow.

In all other respects they behave like processes that a user starts: each has its own session and arguments, writes to
one pipe, receives signals, and is not cleaned up when killed. Imports and shell command lines are tested by real
processes: tests/test_cli.py, tests/test_readme.py.
"""

import atexit
import io
import multiprocessing
import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["reglab.execution.worker_imports", "reglab.study.run_study", "reglab.report.make"])


class Process:
    """A running process with the interface of a `subprocess.Popen` in text mode.

    Args:
        target: a script, or a function of a module.
        arguments: ``sys.argv[1:]`` of the script, or the arguments of the function.
        cwd: working directory; the current one if None.

    Attributes:
        pid: process id, which is also the id of its process group.
        stdout: its standard output and standard error.
    """

    stdout: TextIO

    def __init__(self, target: Path | Callable[..., None], *arguments: str, cwd: Path | None = None) -> None:
        reader, writer = _SERVER.Pipe(duplex=False)
        job = (target, arguments, str(cwd or Path.cwd()), dict(os.environ), writer)
        self._process = _SERVER.Process(target=_run, args=job)
        self._process.start()
        writer.close()
        self.stdout = os.fdopen(os.dup(reader.fileno()), encoding="utf-8")
        reader.close()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code; negative signal number if a signal ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return `returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process has ended and return its exit code.

        Raises:
            TimeoutError: the process still runs after `timeout` seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(f"process {self.pid} still runs after {timeout} s")
        return self.returncode

    def communicate(self) -> str:
        """Wait until the process has ended and return its output."""
        output = self.stdout.read()
        self.wait()
        return output

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.returncode is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _run(
    target: Path | Callable[..., None], arguments: tuple[str, ...], cwd: str, env: dict[str, str], writer: Connection
) -> None:
    for standard in (1, 2):
        os.dup2(writer.fileno(), standard)
    writer.close()
    run_like_interpreter(target, arguments, cwd, env)


def run_like_interpreter(
    target: Path | Callable[..., None], arguments: tuple[str, ...], cwd: str, env: dict[str, str]
) -> None:
    """Run a script or a function in this forked process as a new interpreter would, including its exit functions."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w")), encoding="utf-8", line_buffering=True)
    try:
        if isinstance(target, Path):
            sys.argv = [str(target), *arguments]
            runpy.run_path(str(target), run_name="__main__")
        else:
            target(*arguments)
    finally:  # in the order of an ending interpreter; multiprocessing skips both, or runs them too late
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
