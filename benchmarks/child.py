"""A command as a process of its own: how long it took, how much memory it had at most, and what it said.

Between it and whoever asks is this small script: a process is charged with the memory of the one that started it, and a
benchmark that has loaded torch would hide what the command itself needs.
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
    """Wall seconds from start to end, of the processor, MB (10^6 bytes) resident at most, standard output and error."""

    seconds: float
    cpu: float
    peak_mb: float
    output: str
    told: str


def measured(command: Sequence[str]) -> Cost:
    """Runs a command in the project's folder.

    Raises:
        RuntimeError: it failed; with the end of what it wrote.
    """
    between = subprocess.run(
        [sys.executable, "-S", "-E", __file__, *command], cwd=PROJECT, capture_output=True, text=True
    )
    output, _, figures = between.stdout.rstrip("\n").rpartition("\n")
    if between.returncode:
        raise RuntimeError(f"failed: {' '.join(command)}\n{between.stderr[-2000:]}")
    return Cost(**json.loads(figures), output=output.rstrip("\n"), told=between.stderr)


def _between(command: Sequence[str]) -> int:
    began = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    unit = 1 if sys.platform == "darwin" else 1024
    cpu = usage.ru_utime + usage.ru_stime
    told = {"seconds": time.perf_counter() - began, "cpu": cpu, "peak_mb": usage.ru_maxrss * unit / 1e6}
    sys.stdout.write(f"\n{json.dumps(told)}\n")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_between(sys.argv[1:]))
