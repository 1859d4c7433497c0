"""MLflow's own server, run as a child process until a signal comes; nothing of it outlives this process's end."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO

import psutil

from reglab.stopping import before_exit_at_once
from reglab.tracking.place import Place

HOST = "127.0.0.1"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, and the closing of the terminal
_START_S = 120
_STOP_S = 5
_NEIGHBOURS = 20
# Settings of a user's shell that would turn our server into another one.
_NOT_OURS = ("MLFLOW_TRACKING_URI", "MLFLOW_STATIC_PREFIX", "MLFLOW_GUNICORN_OPTS", "MLFLOW_ARTIFACTS_ONLY")


class ServerEnded(RuntimeError):
    """The server ended, or never answered, without being asked to."""


def serve(place: Place, port: int, ready: Callable[[str], None]) -> int:
    """Serves the store at `place` on 127.0.0.1 until SIGINT, SIGTERM or SIGHUP; returns that signal's number.

    Args:
        place: a database and its artifact root.
        port: where to listen; another one is taken where it is busy.
        ready: called once with the server's address, as soon as it answers.

    Raises:
        ServerEnded: with the last line of its log.
    """
    # A handler that raised could do so between the fork and the moment we know of the child: these only take notes.
    with _noted() as asked, tempfile.TemporaryFile() as log:
        while not asked:
            port = free_port(port)
            process = _start(place, port, log)
            try:
                with before_exit_at_once(partial(_send, process, signal.SIGKILL)):
                    if _wait_until_up(process, port, asked):
                        ready(f"http://{HOST}:{port}")
                        while not asked and process.poll() is None:
                            time.sleep(0.1)
                    elif not asked and free_port(port) != port:
                        continue  # someone else was faster: next port
                    if not asked:
                        raise ServerEnded(f"the MLflow server ended: {_last_line(log)}")
            finally:
                with before_exit_at_once(partial(_send, process, signal.SIGKILL)):
                    _end(process)
        return asked[0]


def free_port(port: int) -> int:
    """`port`, or the next one that nobody listens on."""
    for candidate in [*range(port, min(port + _NEIGHBOURS, 65536)), 0]:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a closed one is free
            probe.bind((HOST, candidate))
            probe.listen()
            return int(probe.getsockname()[1])
    raise ServerEnded(f"no free port on {HOST}")


@contextlib.contextmanager
def _noted() -> Iterator[list[int]]:
    asked: list[int] = []
    before = {s: signal.signal(s, lambda signum, _: asked.append(signum)) for s in _SIGNALS}
    try:
        yield asked
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def _start(place: Place, port: int, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--log-level warning"]
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    environment["MLFLOW_BACKEND_STORE_URI"] = place.uri  # not in the command: it may hold a password
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # GenAI jobs: more processes, nothing we use
    if place.artifact_root:
        environment["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = place.artifact_root
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,  # a group of its own, which can be ended as a whole
    )


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int, asked: list[int]) -> bool:
    end = time.monotonic() + _START_S
    while not asked and process.poll() is None and time.monotonic() < end:
        if _listens(process.pid, port) and _answers(port):
            return True
        time.sleep(0.1)
    return False


def _listens(pid: int, port: int) -> bool:
    """Whether it is our server that listens, and not a faster one."""
    with contextlib.suppress(psutil.NoSuchProcess):
        server = psutil.Process(pid)
        for process in (server, *server.children(recursive=True)):
            for connection in process.net_connections("tcp4"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends the server's whole process group: politely, then by force."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        _send(process, signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)


def _send(process: "subprocess.Popen[bytes]", signum: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: a group of zombies is not permitted
        os.killpg(process.pid, signum)


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "it said nothing"
