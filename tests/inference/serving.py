"""Models of MLflow as somebody uses them who has no reglab: the environment, and a real `mlflow models serve`."""

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


def stranger(folder: Path) -> dict[str, str]:
    """The environment of somebody who has no reglab, reads no pickle, and for all that MLflow knows has a GPU."""
    (folder / "reglab").mkdir()
    (folder / "reglab" / "__init__.py").write_text("raise ImportError('not here')\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DEFAULT_PREDICTION_DEVICE": "cuda"}
    return {**os.environ, "PYTHONPATH": str(folder), "PATH": path, **settings}


def printed(output: str) -> str:
    """The program that the output of an export shows."""
    found = re.search(r"^in Python:\n(.+)^over HTTP:\n", output, re.DOTALL | re.MULTILINE)
    assert found is not None, output
    return found[1]


def output_of(program: str, folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """What a Python program prints that works in a folder."""
    command = [sys.executable, "-c", program, *arguments]
    ran = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@contextmanager
def served(uri: str, folder: Path, environment: dict[str, str]) -> Iterator[Callable[[object], Any]]:
    """What posts a body to the server of a model and returns its answer; the server may still be on its way up.

    Args:
        uri: of the model.
        folder: the server works there and logs to ``log``.
        environment: of the server.
    """
    port, log = free_port(), folder / "log"
    command = ["mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "--port", str(port)]
    with log.open("wb") as out:
        server = subprocess.Popen([sys.executable, "-m", *command], env=environment, cwd=folder, stdout=out, stderr=out)
    try:
        yield lambda body: _posted(port, body, server, log)
    finally:
        end(server)


def _posted(port: int, body: object, server: "subprocess.Popen[bytes]", log: Path) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), headers)
    for _ in range(300):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError:
            raise
        except (ConnectionError, urllib.error.URLError):
            if server.poll() is not None:
                break
            time.sleep(0.2)
    raise RuntimeError(log.read_text())
