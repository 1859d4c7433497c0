"""Measure the time and peak memory of a command that runs in a separate process.

This script starts the command as its own child: the peak memory of a process includes that of the process which forked
it, so a command started by a benchmark that has loaded torch would be charged for torch.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Cost:
    """Wall-clock seconds, CPU seconds, peak resident memory in MB (10^6 bytes), standard output and standard error."""

    seconds: float
    cpu: float
    peak_mb: float
    output: str
    stderr: str


def measure_command(command: Sequence[str]) -> Cost:
    """Run a command in the project's folder and return its cost.

    Raises:
        RuntimeError: the command failed; the message ends with the last part of its standard error.
    """
    runner = subprocess.run(
        [sys.executable, "-S", "-E", __file__, *command], cwd=PROJECT, capture_output=True, text=True
    )
    output, _, figures = runner.stdout.rstrip("\n").rpartition("\n")
    if runner.returncode:
        raise RuntimeError(f"failed: {' '.join(command)}\n{runner.stderr[-2000:]}")
    return Cost(**json.loads(figures), output=output.rstrip("\n"), stderr=runner.stderr)


def _run_and_print_cost(command: Sequence[str]) -> int:
    began = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    unit = 1 if sys.platform == "darwin" else 1024
    cpu = usage.ru_utime + usage.ru_stime
    figures = {"seconds": time.perf_counter() - began, "cpu": cpu, "peak_mb": usage.ru_maxrss * unit / 1e6}
    sys.stdout.write(f"\n{json.dumps(figures)}\n")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_run_and_print_cost(sys.argv[1:]))
