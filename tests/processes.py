"""Processes that start in a moment: forked from a server that has torch, Lightning and MLflow loaded.

In all else they are as a user starts them: a session of their own, arguments, one pipe for what they write, signals
that reach them, and nobody to clean up where they are killed. What a start itself does (imports, the command line of a
shell) is tested by real ones: tests/test_cli.py, tests/test_readme.py.
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
    """A process under way, handled as a `subprocess.Popen` with text.

    Args:
        target: a script, or a function of a module.
        arguments: the script's ``sys.argv[1:]``, the function's arguments.
        cwd: where it runs; here if None.

    Attributes:
        pid: its process id, which is also its group's.
        stdout: what it writes, to standard error too.
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
        """Its exit code, -signal where one ended it, None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """`returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended.

        Raises:
            TimeoutError: it runs for longer than `timeout` seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(f"process {self.pid} still runs after {timeout} s")
        return self.returncode

    def communicate(self) -> str:
        """All that it writes until it ends."""
        output = self.stdout.read()
        self.wait()
        return output

    def send_signal(self, signum: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)


def _run(
    target: Path | Callable[..., None], arguments: tuple[str, ...], cwd: str, env: dict[str, str], writer: Connection
) -> None:
    for standard in (1, 2):
        os.dup2(writer.fileno(), standard)
    writer.close()
    become(target, arguments, cwd, env)


def become(target: Path | Callable[..., None], arguments: tuple[str, ...], cwd: str, env: dict[str, str]) -> None:
    """Run a script or a function in this forked process as a fresh interpreter would, up to its end."""
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
    finally:  # in the order of an interpreter that ends; multiprocessing leaves both out, or comes too late
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
