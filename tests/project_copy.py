"""Copy of the project in which tests run commands, with the packages of this environment and its own database."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reglab.paths import PROJECT

FOLDERS = ("src", "conf", "pipelines", "benchmarks", "tests", "docs")
FILES = ("Makefile", "README.md", "pyproject.toml", "requirements.lock", "requirements-data.lock")
_PYTHON = """#!/bin/sh
case "$1" in
*/ui.py) exec "{python}" "$@" ;; # signals are sent to its process group
*.py) exec "{python}" -IS "{folder}/tests/fork_client.py" "{address}" "$@" ;;
*) exec "{python}" "$@" ;;
esac
"""


@contextmanager
def copy_project(folder: Path) -> Iterator[Path]:
    """Copy the files that commands need into `folder`, and start a server for its scripts; see `tests.forks`.

    The ``.venv`` of the copy links to the environment that runs the tests.
    """
    for name in FOLDERS:
        shutil.copytree(
            PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "results", "*.egg-info")
        )
    for name in FILES:
        shutil.copy2(PROJECT / name, folder / name)
        os.utime(folder / name, (0, 0))  # older than the environment, so that make does not install it again
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    (folder / ".venv" / ".ready").touch()
    for tool in Path(sys.executable).parent.iterdir():
        if tool.name != "python":
            (tools / tool.name).symlink_to(tool)
    with tempfile.TemporaryDirectory() as short:  # the address of a socket has at most some 100 characters
        address = f"{short}/scripts"
        (tools / "python").write_text(_PYTHON.format(python=sys.executable, folder=folder, address=address))
        (tools / "python").chmod(stat.S_IRWXU)
        server = subprocess.Popen([sys.executable, "-m", "tests.forks", address], cwd=folder, env=environment(folder))
        try:
            while not os.path.exists(address):
                assert server.poll() is None, "the server of scripts ended"
                time.sleep(0.05)
            yield folder
        finally:
            server.kill()
            server.wait()


def environment(folder: Path) -> dict[str, str]:
    """Return environment variables with which the package of the copy precedes the installed one."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PYTEST_", "MAKE"))}
    kept.pop("ARGS", None)
    return kept | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}


def shell(folder: Path, command: str | Sequence[str], timeout: float = 240) -> "subprocess.CompletedProcess[str]":
    """Run a command in the copy."""
    return subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
