"""Scripts of a copy of the project, each in a process forked from a server that has the libraries loaded.

The server holds none of the project's own code, which a test may change between two commands. What runs a script is
the command line that a user types: shell, make, arguments, folder, environment and streams are real, and only the
interpreter does not load its libraries once more. ``python -m tests.forks SOCKET`` in the copy's folder serves.
"""

import importlib
import json
import multiprocessing
import os
import socket
import sys
from pathlib import Path

from tests.processes import become

_LIBRARIES = (
    "hydra.main",
    "matplotlib.pyplot",
    "mlflow",
    "optuna",
    "pandas",
    "pytorch_lightning",
    "scipy.stats",
    "sklearn.datasets",
    "torchmetrics",
)


def serve(address: str) -> None:
    """Run one script after the other, for as long as the process lives."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        while True:
            client, _ = server.accept()
            with client:
                length, streams, _, _ = socket.recv_fds(client, 8, 3)
                words, cwd, env = json.loads(client.makefile("rb").read(int.from_bytes(length, "big")))
                process = multiprocessing.get_context("fork").Process(
                    target=_run, args=(words, cwd, env, streams, [server, client])
                )
                process.start()
                for stream in streams:
                    os.close(stream)
                process.join()
                client.sendall(f"{process.exitcode}\n".encode())


def _run(words: list[str], cwd: str, env: dict[str, str], streams: list[int], sockets: list[socket.socket]) -> None:
    for its in sockets:
        its.close()
    for standard, stream in enumerate(streams):
        os.dup2(stream, standard)
        os.close(stream)
    script = Path(cwd, words[0])
    sys.path[0] = str(script.parent)
    become(script, tuple(words[1:]), cwd, env)


if __name__ == "__main__":
    serve(sys.argv[1])
