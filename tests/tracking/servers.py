"""Start and stop an `mlflow server`."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from reglab.schema.errors import ConfigError
from reglab.tracking.location import resolve


def free_port() -> int:
    """Return a port on which no process listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start(folder: Path, uri: str, port: int) -> tuple[str, "subprocess.Popen[bytes]"]:
    """Start a server, wait until it responds, and return its address and process."""
    options = ["--backend-store-uri", uri, "--artifacts-destination", str(folder / "mlartifacts"), "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), *options],
        cwd=folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            resolve(address)
            break
        except ConfigError:
            assert process.poll() is None
            time.sleep(0.2)
    return address, process


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the server and its workers; after SIGTERM it would wait ten seconds for open connections."""
    if process.poll() is None:
        for worker in (*psutil.Process(process.pid).children(recursive=True), process):
            worker.kill()
    process.wait()
