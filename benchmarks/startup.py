"""Start-up time: help, errors that need only the config, and imports of libraries."""

import statistics
import subprocess
import sys
import time

from reglab.paths import PROJECT

CASES = {
    "--help": ["--help"],
    "misspelt key": ["optimizer.lrr=1"],
    "unknown option": ["regularizer=dropuot"],
    "out of range": ["regularizer=dropout", "regularizer.dropout.p=1.5"],
    "missing file": ["data=csv", "data.path=missing.csv", "data.target=y"],
    "sweep, misspelt key": ["-m", "seed=0,1", "optimizer.lrr=1"],
}
IMPORTS = {
    "plain": "import torch, pytorch_lightning, mlflow",
    "paused": "from reglab.cli import load_libraries; load_libraries()",
}


def measure(rounds: int) -> dict[str, float]:
    """Return median seconds of a whole process for each case."""
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, arguments in CASES.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "pipelines/train.py", *arguments], cwd=PROJECT, capture_output=True)
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def measure_imports(rounds: int) -> dict[str, float]:
    """Return median seconds of a process that imports the libraries, plainly and with garbage collection paused."""
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(rounds):
        for name, code in IMPORTS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, check=True)
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}
