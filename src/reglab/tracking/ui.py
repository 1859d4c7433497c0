"""``make ui``: MLflow's own server on a database, opened at the saved view of an experiment.

The server is a child process that ends at a signal, and at the latest with this process.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO

import psutil

from reglab.stopping import Stopped, before_exit_at_once, stoppable
from reglab.streams import note, write_line
from reglab.tracking import queries, view
from reglab.tracking.location import StoreLocation, parse_location
from reglab.tracking.store import Store, open_existing

HOST = "127.0.0.1"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, and the closing of the terminal
_START_S = 120
_STOP_S = 5
_NEIGHBOURS = 20
# Variables of the user's shell that would change what the server does.
_NOT_OURS = ("MLFLOW_TRACKING_URI", "MLFLOW_STATIC_PREFIX", "MLFLOW_GUNICORN_OPTS", "MLFLOW_ARTIFACTS_ONLY")


class ServerEnded(RuntimeError):
    """The server ended by itself, or never answered."""


def browse(uri: str | None, experiment: str, port: int = 5000, open_browser: bool = False) -> None:
    """Print the link of the saved view; for a database start a server, which Ctrl-C ends.

    Args:
        uri: the tracking store (see `location.resolve`).
        experiment: name of the experiment to show.
        port: port of the server on 127.0.0.1; another one is used if it is taken.
        open_browser: open the link in the user's browser too.

    Raises:
        ConfigError: the store cannot be used, or has no such experiment.
        Stopped: a signal other than Ctrl-C ended it.
        ServerEnded: the server died.
    """
    location = parse_location(uri)
    try:
        with stoppable():
            store = open_writable(uri, experiment)
            queries.mark_dead_runs_killed(store)
            view.save(store.client, store.experiment_id)
            note_limits(store)
        if location.uri.startswith("http"):
            _show_link(location.uri, store, open_browser)
            return

        def ready(address: str) -> None:
            if address.rpartition(":")[2] != str(port):
                note(f"port {port} is in use")
            _show_link(address, store, open_browser)
            note("Ctrl-C stops the server; close the page's Assistant panel to enlarge the charts")

        note("starting MLflow's server ...")
        signum = serve(location, port, ready)
        if signum != signal.SIGINT:
            raise Stopped(signum)
    except Stopped as stopped:
        if stopped.signum != signal.SIGINT:
            raise


def open_writable(uri: str | None, experiment: str) -> Store:
    """Open the store with `experiment`, which must exist.

    Raises:
        ConfigError: the store cannot be used, is read-only, or does not have this experiment.
    """
    store = open_existing(uri, experiment)
    if store.read_only:
        raise store.location.error("is read-only, and MLflow's server writes to it", "copy its folder and use the copy")
    return store


def note_limits(store: Store) -> None:
    """Print notes on limits of the page: no runs, more runs than it loads, or means over several strengths."""
    runs, more = view.first_page(store.client, store.experiment_id)
    if not runs:
        note(f"no runs in the experiment {store.experiment} yet: run make compare to create some")
    if more:
        note(
            f"more than {view.PAGE} runs: the page opens on the newest {view.PAGE}, 'Load more' below them adds others"
        )
    if mixed := view.mixed_strengths(runs):
        note(f"the means of a strategy are over all values of {', '.join(mixed)}: use 'Group by' on the page")


def _show_link(address: str, store: Store, open_browser: bool) -> None:
    link = view.link(address, store.experiment_id)
    write_line(link)
    if open_browser:
        webbrowser.open(link)


def serve(location: StoreLocation, port: int, ready: Callable[[str], None]) -> int:
    """Serve the store at `location` on 127.0.0.1 until SIGINT, SIGTERM or SIGHUP; return that signal's number.

    Args:
        location: a database and its artifact root.
        port: port to listen on; another one is used if it is taken.
        ready: called once with the server's address, as soon as it answers.

    Raises:
        ServerEnded: with the last line of its log.
    """
    # A handler that raises could do so between the fork and the assignment of the child: these only record the signal.
    with _recorded_signals() as received, tempfile.TemporaryFile() as log:
        while not received:
            port = free_port(port)
            process = _start(location, port, log)
            try:
                with before_exit_at_once(partial(_send, process, signal.SIGKILL)):
                    if _wait_until_up(process, port, received):
                        ready(f"http://{HOST}:{port}")
                        while not received and process.poll() is None:
                            time.sleep(0.1)
                    elif not received and free_port(port) != port:
                        continue  # another process took the port: use the next one
                    if not received:
                        raise ServerEnded(f"the MLflow server exited: {_last_line(log)}")
            finally:
                with before_exit_at_once(partial(_send, process, signal.SIGKILL)):
                    _end(process)
        return received[0]


def free_port(port: int) -> int:
    """Return `port`, or the next one on which no process listens."""
    for candidate in [*range(port, min(port + _NEIGHBOURS, 65536)), 0]:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a closed one is free
            probe.bind((HOST, candidate))
            probe.listen()
            return int(probe.getsockname()[1])
    raise ServerEnded(f"no free port on {HOST}")


@contextlib.contextmanager
def _recorded_signals() -> Iterator[list[int]]:
    received: list[int] = []
    before = {s: signal.signal(s, lambda signum, _: received.append(signum)) for s in _SIGNALS}
    try:
        yield received
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def _start(location: StoreLocation, port: int, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--log-level warning"]
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    environment["MLFLOW_BACKEND_STORE_URI"] = location.uri  # not in the command: it may contain a password
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # GenAI jobs: more processes, nothing we use
    if location.artifact_root:
        environment["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = location.artifact_root
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,  # a separate process group, which can be ended as a whole
    )


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int, received: list[int]) -> bool:
    end = time.monotonic() + _START_S
    while not received and process.poll() is None and time.monotonic() < end:
        if _listens(process.pid, port) and _answers(port):
            return True
        time.sleep(0.1)
    return False


def _listens(pid: int, port: int) -> bool:
    """Return whether this server listens on the port, rather than another process."""
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
    """End the server's process group, first by SIGTERM, then by SIGKILL."""
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
    return lines[-1].strip()[:300] if lines else "its log is empty"
