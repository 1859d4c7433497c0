"""Concurrent starts of the same sweep: no run is trained twice."""

import json
import os
import pickle
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reglab.config.compose import compose
from reglab.paths import PROJECT
from reglab.schema.errors import InProgress
from reglab.tracking import queries
from reglab.training.run import run
from tests.execution.sweeps import TINY, children, output_overrides, parent, store, sweep
from tests.processes import Process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
Start = Callable[..., Process]
LONG = "trainer.max_epochs=20"
SWEEP = ["regularizer=none,l1", "seed=range(4)", "trainer.max_epochs=8"]


@pytest.fixture
def folder(store_uri: str) -> Path:
    """A folder with an empty database."""
    return Path(store_uri.removeprefix("sqlite:///")).parent


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Function that starts a sweep in another process."""
    processes: list[Process] = []

    def start_sweep(*overrides: str) -> Process:
        pipeline = PROJECT / "pipelines" / "train.py"
        processes.append(Process(pipeline, "-m", *TINY, *output_overrides(folder), *overrides, cwd=folder))
        return processes[-1]

    yield start_sweep
    for process in processes:
        process.kill()
        process.wait()


def test_two_sweeps_at_once_share_the_runs_and_report_the_same(folder: Path, start: Start) -> None:
    names = ("one", "two")
    started = [start(*SWEEP, f"report.dir={folder}/{name}") for name in names]
    outputs = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert [record.status for record in children(folder)] == ["FINISHED"] * 8, outputs
    assert set(Counter(record.tags["config_hash"] for record in children(folder)).values()) == {1}
    assert len({record.tags["owner"] for record in children(folder)}) == 2  # both processes trained runs
    assert parent(folder).status == "FINISHED"
    first, second = ((folder / name / "leaderboard.csv").read_text() for name in names)
    assert first == second
    assert first.count("\n") == 3


def start_and_stop(folder: Path, start: Start) -> Process:
    """Start a sweep of one run and stop it by SIGSTOP during training, so that other processes see it as running."""
    other = start("seed=0", LONG)
    while not list(folder.rglob("environment.json")):  # written after the run is opened, when the process holds no lock
        assert other.poll() is None
        time.sleep(0.02)
    other.send_signal(signal.SIGSTOP)
    return other


def test_a_run_of_another_process_is_waited_for_after_all_others(
    folder: Path, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    other = start_and_stop(folder, start)
    thread = call_after_seed_1(folder, lambda: other.send_signal(signal.SIGCONT))
    assert sweep(folder, "seed=0,1", LONG) == 0
    thread.join()
    assert other.wait() == 0
    out = capsys.readouterr().out
    assert (
        "[1/2] none seed=0  another process is training it; its result is awaited at the end\n[2/2] none seed=1  test"
        in out
    )
    (first, second) = children(folder)
    wait = out[out.index("waiting") :].splitlines()
    assert wait[0].startswith(f"waiting for run {first.run_id} (none seed=0), trained by process {other.pid} on this")
    assert wait[1].startswith("[2/2] none seed=0  test/accuracy 0.")
    assert [(record.tags["seed"], record.status) for record in (first, second)] == [
        ("0", "FINISHED"),
        ("1", "FINISHED"),
    ]
    assert (folder / "report" / "leaderboard.csv").read_text().splitlines()[1].startswith("none,2,")
    assert parent(folder).status == "FINISHED"


def test_a_run_of_a_killed_process_is_trained_here(
    folder: Path, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    other = start_and_stop(folder, start)
    thread = call_after_seed_1(folder, lambda: os.kill(other.pid, signal.SIGKILL))
    assert sweep(folder, "seed=0,1", LONG) == 0
    thread.join()
    out = capsys.readouterr().out
    assert f"run {children(folder)[0].run_id} (none seed=0) was not finished by its process: training it here\n" in out
    assert [(record.tags["seed"], record.status) for record in children(folder)] == [
        ("0", "KILLED"),
        ("1", "FINISHED"),
        ("0", "FINISHED"),
    ]
    assert parent(folder).status == "FINISHED"


def call_after_seed_1(folder: Path, act: Callable[[], None]) -> threading.Thread:
    """Start a thread that calls `act` half a second after the run of seed 1 has finished."""
    opened = store(folder)

    def watch() -> None:
        while not queries.runs(opened, status="FINISHED", tags={"seed": "1"}):
            time.sleep(0.05)
        time.sleep(0.5)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def track_run_of_another_host(folder: Path, beat: float) -> str:
    """Track a RUNNING run of seed 0 on another host, last heartbeat `beat` seconds ago, and return its id."""
    assert sweep(folder, "seed=0") == 0
    (done,) = children(folder)
    owner = json.dumps(json.loads(done.tags["owner"]) | {"host": "another"})
    for key, value in {"owner": owner, "heartbeat": f"{time.time() - beat:.0f}"}.items():
        store(folder).client.set_tag(done.run_id, key, value)
    store(folder).client.update_run(done.run_id, status="RUNNING")
    return done.run_id


def test_a_run_of_another_host_that_fails_is_reported_as_failed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = track_run_of_another_host(folder, beat=10)

    def fail() -> None:
        store(folder).client.set_tag(run_id, "error", "Diverged: at step 3")
        store(folder).client.set_terminated(run_id, "FAILED")

    thread = call_after_seed_1(folder, fail)
    assert sweep(folder, "seed=0,1") == 1
    thread.join()
    out = capsys.readouterr().out
    assert "[2/2] none seed=0  FAILED: Diverged: at step 3  by another process\n" in out
    assert f"  none seed=0  Diverged: at step 3  run {run_id}\n" in out
    assert [record.status for record in children(folder)] == ["FAILED", "FINISHED"]


def test_a_single_run_is_refused_where_another_process_trains_it(folder: Path) -> None:
    run_id = track_run_of_another_host(folder, beat=10)
    cfg = compose([*TINY, *output_overrides(folder), "seed=0", "resume=true"])
    with pytest.raises(InProgress) as caught:
        run(cfg)
    assert str(caught.value) == (
        f"resume=true: run {run_id} of another process is training this config; wait, or set resume=false"
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # it is passed between processes
    assert len(children(folder)) == 1


def test_resume_false_waits_for_no_other_process(
    folder: Path, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    start_and_stop(folder, start)
    assert sweep(folder, "seed=0", LONG, "resume=false") == 0
    assert "another process" not in capsys.readouterr().out
    assert [record.status for record in children(folder)] == ["RUNNING", "FINISHED"]
