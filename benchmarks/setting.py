"""Environment of a benchmark, which its ratios depend on."""

import os
import platform
from pathlib import Path

import torch

from reglab.config.environment_variables import recorded_variables
from reglab.tracking.environment import environment


def setting(device: str) -> dict[str, object]:
    """Return machine, device, versions and load."""
    return {
        "device": torch.cuda.get_device_name(0) if device == "gpu" else _cpu(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "platform": platform.platform(),
        "environment": environment(variables=recorded_variables()),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
