"""Use MLflow models in an environment without reglab, and through `mlflow models serve`."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.tracking.servers import end, free_port


def environment_without_reglab(folder: Path) -> dict[str, str]:
    """Return an environment without reglab and pickles, whose MLflow settings ask for a GPU."""
    (folder / "reglab").mkdir()
    (folder / "reglab" / "__init__.py").write_text("raise ImportError('not here')\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DEFAULT_PREDICTION_DEVICE": "cuda"}
    return {**os.environ, "PYTHONPATH": str(folder), "PATH": path, **settings}


def printed_program(output: str) -> str:
    """Return the Python program in the output of an export."""
    program = re.search(r"^in Python:\n(.+)^over HTTP:\n", output, re.DOTALL | re.MULTILINE)
    assert program is not None, output
    return program[1]


def output_of(program: str, folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """Run a Python program in a folder and return its output."""
    command = [sys.executable, "-c", program, *arguments]
    completed = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


@contextmanager
def model_server(uri: str, folder: Path, environment: dict[str, str]) -> Iterator[Callable[[object], Any]]:
    """Serve a model, and yield a function that posts a body and returns the response, after the server has started.

    Args:
        uri: URI of the model.
        folder: working directory of the server, which logs to the file ``log``.
        environment: environment variables of the server.
    """
    port, log = free_port(), folder / "log"
    command = ["mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "--port", str(port)]
    with log.open("wb") as log_file:
        server = subprocess.Popen(
            [sys.executable, "-m", *command], env=environment, cwd=folder, stdout=log_file, stderr=log_file
        )
    try:
        yield lambda body: _post(port, body, server, log)
    finally:
        end(server)


def _post(port: int, body: object, server: "subprocess.Popen[bytes]", log: Path) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), headers)
    for _ in range(300):
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError:
            raise
        except (ConnectionError, urllib.error.URLError):
            if server.poll() is not None:
                break
            time.sleep(0.2)
    raise RuntimeError(log.read_text())
