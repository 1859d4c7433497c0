"""Run ``python SCRIPT ARGUMENTS`` in a copy of the project through the server of `tests.forks`.

Called as ``python -IS fork_client.py SOCKET SCRIPT ...``; imports only modules that load fast.
"""

import json
import os
import socket
import sys


def main(address: str, *words: str) -> int:
    """Run the script and return its exit code, 128 + the signal number if a signal ended it."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        job = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
        socket.send_fds(server, [len(job).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(job)
        code = int(server.makefile().readline() or 1)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
