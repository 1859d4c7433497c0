"""Runs that end their process by a signal or an exit, or run out of memory: the sweep continues and reports each."""

import re
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from reglab.paths import PROJECT
from reglab.tracking import queries
from tests.execution.sweeps import children, output_overrides, parent, store, sweep, worker_processes
from tests.processes import Process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500), pytest.mark.usefixtures("store_uri")]

NETWORK = """
import math, os, signal, sys
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, outputs, does):
        super().__init__()
        self.layer, self.does, self.steps = nn.Linear(math.prod(input_shape), outputs), does, 0
    def forward(self, x):
        self.steps += self.training
        if self.does == "early" and self.steps > 1:
            raise KeyboardInterrupt
        if self.steps > 15:
            if self.does == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.does == "memory":
                torch.empty(10**15)
            if self.does == "exit":
                sys.exit(0)
            if self.does == "end":
                os._exit(0)
            if self.does == "odd":
                raise BaseException("odd")
            if self.does == "interrupt":
                raise KeyboardInterrupt
        return self.layer(x.flatten(1))
"""
BASE = ["data=wine", "model=torch", "model.target=deadly_net.Net", "data.batch_size=8", "trainer.max_epochs=2"]
BASE += ["tracking.weights=none"]
KINDS = ("nothing", "kill", "memory", "exit", "end", "odd", "interrupt", "early")
AXIS = "model.args={does:nothing},{does:kill},{does:memory},{does:exit}"


def start(folder: Path, *overrides: str) -> Process:
    (folder / "deadly_net.py").write_text(NETWORK)
    return Process(PROJECT / "pipelines" / "train.py", "-m", *BASE, *output_overrides(folder), *overrides, cwd=folder)


def statuses_by_behaviour(folder: Path) -> dict[str, Counter[str]]:
    statuses: dict[str, Counter[str]] = {}
    for record in children(folder):
        does = next(d for d in KINDS if f'"{d}"' in record.tags["about"])
        statuses.setdefault(does, Counter())[record.status] += 1
    return statuses


def test_a_sweep_survives_runs_that_end_their_process(tmp_path: Path) -> None:
    process = start(tmp_path, AXIS, "workers=2", "seed=0")
    output = process.communicate()
    assert process.returncode == 1, output  # not 137: the last remaining run is not trained in the sweep's own process
    statuses = statuses_by_behaviour(tmp_path)
    assert statuses["kill"] == Counter(KILLED=2)  # two attempts
    # With the first death the pool ends its other worker too, whose run is then trained again, alone.
    assert all(statuses[does].pop("KILLED", 0) <= 1 for does in ("nothing", "memory", "exit"))
    assert statuses["nothing"] == Counter(FINISHED=1)
    assert statuses["memory"] in (Counter(FAILED=1), Counter(FAILED=2))  # concurrently, unless killed, and alone
    assert statuses["exit"] == Counter(FAILED=1)
    assert parent(tmp_path).status == "FAILED"
    assert queries.runs(store(tmp_path), status="RUNNING") == []
    failed = {record.tags["about"]: record for record in children(tmp_path) if record.status == "FAILED"}
    assert all("diverged" not in record.tags for record in failed.values())
    (exited,) = (record for about, record in failed.items() if '"exit"' in about)
    assert exited.tags["error"].startswith("ExitCalled: sys.exit(0)")
    traceback = store(tmp_path).client.download_artifacts(exited.run_id, "error.txt", str(tmp_path))
    assert "deadly_net.py" in Path(traceback).read_text()

    process = start(tmp_path, AXIS, "seed=0")  # in one process: runs that ended a worker before get a separate process
    output = process.communicate()
    assert process.returncode == 1, output
    assert statuses_by_behaviour(tmp_path)["kill"] == Counter(KILLED=4)
    assert statuses_by_behaviour(tmp_path)["nothing"]["FINISHED"] == 1
    assert parent(tmp_path).status == "FAILED"


def test_workers_that_die_before_their_first_run_are_replaced(tmp_path: Path) -> None:
    process = start(tmp_path, "model.args={does:nothing}", "workers=2", "seed=0,1,2")
    deadline = time.monotonic() + 120
    killed = 0
    while not killed and time.monotonic() < deadline:
        for worker in worker_processes(process.pid):
            with suppress(psutil.Error):  # it may have ended
                worker.kill()
                killed += 1
        time.sleep(0.02)
    output = process.communicate()
    assert process.returncode == 0, output
    assert "a worker process died" in output
    assert Counter(record.status for record in children(tmp_path))["FINISHED"] == 3
    assert parent(tmp_path).status == "FINISHED"


def test_runs_that_end_their_process_fail_in_a_single_process_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly_net.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    axis = "model.args={does:end},{does:odd},{does:interrupt},{does:early},{does:nothing}"
    assert sweep(tmp_path, axis, "seed=0", base=BASE) == 1
    failed = {does: Counter(FAILED=1) for does in ("end", "odd", "interrupt", "early")}
    assert statuses_by_behaviour(tmp_path) == {**failed, "nothing": Counter(FINISHED=1)}
    errors = {record.tags["error"].split(" at ")[0]: record.tags["error"] for record in children(tmp_path)[:4]}
    assert errors.keys() == {
        "ExitCalled: os._exit(0) was called",
        "NonExceptionRaised: BaseException: odd was raised",
        "NonExceptionRaised: KeyboardInterrupt was raised",
    }
    assert all(re.search(r" at deadly_net\.py:\d+ in forward", error) for error in errors.values())
