"""The server that forks workers imports all they need, without initializing CUDA or starting threads."""

import subprocess
import sys

from reglab.execution.workers import WorkerSetup

IMPORTS = """
import gc, threading
import torch
calls = []
for name in ("is_available", "device_count", "init", "_lazy_init", "get_device_properties"):
    setattr(torch.cuda, name, lambda *_, name=name: calls.append(name) or 0)
import reglab.execution.worker_imports
print(calls, threading.active_count(), gc.get_freeze_count() > 100_000, gc.isenabled())
"""


def test_imports_start_neither_cuda_nor_threads() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "1", "True", "True"]


def test_the_text_of_a_setup_has_no_environment() -> None:
    setup = WorkerSetup(1, {"PASSWORD": "hidden"})
    assert "hidden" not in f"{setup} {setup!r}"
    assert setup == WorkerSetup(1, {"PASSWORD": "hidden"})  # joblib reuses workers whose initializer is equal
