"""PostgreSQL server on a free port, which tests may stop."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.tracking.servers import free_port


class Postgres:
    """A running PostgreSQL server.

    Args:
        folder: data folder, owned by the user that runs the server.
        port: port on 127.0.0.1.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._hung: list[psutil.Process] = []

    def database(self, name: str) -> str:
        """Create an empty database and return its tracking URI."""
        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=lab dbname=postgres", autocommit=True) as server:
            server.execute(f'CREATE DATABASE "{name}"'.encode())
        return f"postgresql://lab@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off -c max_connections=100"
        _as_user("pg_ctl", "-D", f"{self.folder}/data", "-w", "-o", options, "-l", f"{self.folder}/log", "start")

    def stop(self) -> None:
        """Stop the server and close all its connections; do nothing if it is stopped."""
        self.go_on()
        if not (self.folder / "data" / "postmaster.pid").exists():
            return
        _as_user("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "stop")

    def hang(self) -> None:
        """Suspend all processes of the server: connections stay open and get no response."""
        main = psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))
        self._hung = [main, *main.children(recursive=True)]
        for process in self._hung:
            process.suspend()

    def go_on(self) -> None:
        """Resume the processes that `hang` suspended."""
        for process in self._hung:
            with suppress(psutil.NoSuchProcess):
                process.resume()
        self._hung = []


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a PostgreSQL server; skip the test if PostgreSQL is not installed."""
    if _binary("initdb") is None:
        pytest.skip("PostgreSQL is not installed: no initdb")
    with tempfile.TemporaryDirectory(prefix="reglab-postgres-") as folder:
        if os.geteuid() == 0:
            os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
        _as_user("initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "lab", "-E", "UTF8", "--no-sync")
        server = Postgres(Path(folder), free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _binary(name: str) -> str | None:
    return next(iter(sorted(glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None) or shutil.which(name)


def _as_user(name: str, *arguments: str) -> None:
    """Run a program of PostgreSQL as an unprivileged user, since the server refuses root."""
    binary = _binary(name)
    assert binary is not None
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    subprocess.run([binary, *arguments], check=True, timeout=60, cwd="/", stdout=subprocess.DEVNULL, **user)  # type: ignore[call-overload]
