"""Server that runs scripts of a copy of the project, each in a process forked after the libraries were imported.

The server imports none of the project's own code, which a test may change between two commands. A script starts from
the command line that a user types, with real shell, make, arguments, folder, environment and streams; only the imports
of the libraries are shared. Start it by ``python -m tests.forks SOCKET`` in the folder of the copy.
"""

import importlib
import json
import multiprocessing
import os
import socket
import sys
from pathlib import Path

from tests.processes import run_like_interpreter

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
    """Run the requested scripts one after the other, until the process is killed."""
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
    for inherited in sockets:
        inherited.close()
    for standard, stream in enumerate(streams):
        os.dup2(stream, standard)
        os.close(stream)
    script = Path(cwd, words[0])
    sys.path[0] = str(script.parent)
    run_like_interpreter(script, tuple(words[1:]), cwd, env)


if __name__ == "__main__":
    serve(sys.argv[1])
