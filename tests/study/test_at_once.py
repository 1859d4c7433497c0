"""The same sweep started several times at the same moment: no run is done twice."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reglab.paths import PROJECT
from reglab.tracking import queries
from tests.study.sweeps import TINY, children, parent, places, store, sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
Start = Callable[..., "subprocess.Popen[str]"]
LONG = "trainer.max_epochs=20"
SWEEP = ["regularizer=none,l1", "seed=range(4)", "trainer.max_epochs=8"]


@pytest.fixture
def folder(store_uri: str) -> Path:
    """A folder with an empty database."""
    return Path(store_uri.removeprefix("sqlite:///")).parent


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts a sweep in a process of its own."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*overrides: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(PROJECT / "pipelines" / "train.py"), "-m", *TINY, *places(folder), *overrides]
        processes.append(
            subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def test_two_sweeps_at_once_share_the_runs_and_report_the_same(folder: Path, start: Start) -> None:
    names = ("one", "two")
    started = [start(*SWEEP, f"sweep.name={name}", f"report.dir={folder}/{name}") for name in names]
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert [record.status for record in children(folder)] == ["FINISHED"] * 8, said
    assert set(Counter(record.tags["config_hash"] for record in children(folder)).values()) == {1}
    assert len({record.tags["owner"] for record in children(folder)}) == 2  # both took part
    one, two = ((folder / name / "leaderboard.csv").read_text() for name in names)
    assert one == two
    assert one.count("\n") == 3


def stopped_in_a_run(folder: Path, start: Start) -> "subprocess.Popen[str]":
    """A sweep of one run, held still in the middle of it: for others it lives."""
    other = start("seed=0", LONG)
    while not list(folder.rglob("environment.json")):  # written after its run was opened: it holds no lock
        assert other.poll() is None
        time.sleep(0.02)
    other.send_signal(signal.SIGSTOP)
    return other


def test_a_run_of_another_process_is_waited_for_after_all_others(
    folder: Path, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    other = stopped_in_a_run(folder, start)
    thread = after_seed_1(folder, lambda: other.send_signal(signal.SIGCONT))
    assert sweep(folder, "seed=0,1", LONG) == 0
    thread.join()
    assert other.wait() == 0
    out = capsys.readouterr().out
    assert "[1/2] none seed=0  another process is training it: waited for at the end\n[2/2] none seed=1  test" in out
    assert "waiting for 1 run that another process is training ..." in out
    assert out[out.index("waiting") :].splitlines()[1].startswith("[2/2] none seed=0  test/accuracy 0.")
    assert [(record.tags["seed"], record.status) for record in children(folder)] == [
        ("0", "FINISHED"),
        ("1", "FINISHED"),
    ]
    assert (folder / "report" / "leaderboard.csv").read_text().splitlines()[1].startswith("none,2,")
    assert parent(folder).status == "FINISHED"


def test_what_a_killed_process_left_is_done_here(
    folder: Path, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    other = stopped_in_a_run(folder, start)
    thread = after_seed_1(folder, lambda: os.kill(other.pid, signal.SIGKILL))
    assert sweep(folder, "seed=0,1", LONG) == 0
    thread.join()
    out = capsys.readouterr().out
    assert "another process left a run undone: it is done here\n[2/2] none seed=0  test/accuracy" in out
    assert [(record.tags["seed"], record.status) for record in children(folder)] == [
        ("0", "KILLED"),
        ("1", "FINISHED"),
        ("0", "FINISHED"),
    ]
    assert parent(folder).status == "FINISHED"


def after_seed_1(folder: Path, act: Callable[[], None]) -> threading.Thread:
    """Acts a moment after the run of seed 1 has ended."""
    opened = store(folder)

    def watch() -> None:
        while not queries.runs(opened, status="FINISHED", tags={"seed": "1"}):
            time.sleep(0.05)
        time.sleep(0.5)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_resume_false_waits_for_nobody(folder: Path, start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    stopped_in_a_run(folder, start)
    assert sweep(folder, "seed=0", LONG, "resume=false") == 0
    assert "another process" not in capsys.readouterr().out
    assert [record.status for record in children(folder)] == ["RUNNING", "FINISHED"]
