"""A copy of the project to run commands in, with this environment's packages and its own database."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from reglab.paths import PROJECT

FOLDERS = ("src", "conf", "pipelines", "benchmarks", "tests", "docs")
FILES = ("Makefile", "README.md", "pyproject.toml", "requirements.lock", "requirements-data.lock")


def copy_project(folder: Path) -> Path:
    """Copies what git tracks into `folder`; ``.venv`` is a link to the environment that runs the tests."""
    for name in FOLDERS:
        shutil.copytree(
            PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "results", "*.egg-info")
        )
    for name in FILES:
        shutil.copy2(PROJECT / name, folder / name)
        os.utime(folder / name, (0, 0))  # older than the environment, which make would else install anew: over there
    (folder / ".venv").symlink_to(PROJECT / ".venv")
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Makes the copy's own package win over the installed one."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PYTEST_", "MAKE"))}
    return kept | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}


def shell(folder: Path, command: str | Sequence[str], timeout: float = 240) -> "subprocess.CompletedProcess[str]":
    """Runs a command line there."""
    return subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
