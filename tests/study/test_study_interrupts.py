"""A study in several processes, killed at any moment and started again: as if nothing had happened."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from reglab.paths import PROJECT
from reglab.tracking import queries
from tests.study.studies import TINY, board, conduct
from tests.study.sweeps import children, places, store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]
STUDY = ["study.common.trainer.max_epochs=15", "study.trials=3", "study.seeds=3"]


def start(folder: Path, workers: int = 2) -> "subprocess.Popen[str]":
    """As a user starts it: a process group of its own."""
    return subprocess.Popen(
        [sys.executable, str(PROJECT / "pipelines" / "study.py"), *TINY, *STUDY, f"workers={workers}", *places(folder)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def until(process: "subprocess.Popen[str]", runs: int) -> str:
    """Reads its output until so many runs of one phase have ended, in whichever order."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        runs -= line.startswith("[")
        if not runs:
            return said
    raise AssertionError(said)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The leaderboard of a study that one process conducted in peace."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert conduct(folder, *STUDY) == 0
    return board(folder)


def kill(process: "subprocess.Popen[str]", runs: int) -> None:
    """With SIGKILL, and its workers with it, once so many runs have ended."""
    until(process, runs)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(workers, timeout=10)


def test_a_study_that_was_killed_goes_on(
    tmp_path: Path, undisturbed: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    kill(start(tmp_path, workers=1), 1)  # in the middle of tuning
    tuned = {run.run_id for run in children(tmp_path) if run.status == "FINISHED"}
    assert 1 <= len(tuned) < 6
    kill(start(tmp_path), 7 - len(tuned))  # in the middle of confirmation
    done = {run.run_id for run in children(tmp_path) if run.status == "FINISHED"}
    assert tuned < done
    assert 7 <= len(done) < 12

    capsys.readouterr()
    assert conduct(tmp_path, *STUDY) == 0
    assert f"{len(done)} of about 12 runs were over before: reused" in capsys.readouterr().out
    finished = [run for run in children(tmp_path) if run.status == "FINISHED"]
    assert done < {run.run_id for run in finished}
    assert len(finished) == len({run.tags["config_hash"] for run in finished}) == 12  # none done twice
    assert {run.status for run in children(tmp_path)} <= {"FINISHED", "KILLED"}
    assert queries.runs(store(tmp_path), status="RUNNING") == []
    assert board(tmp_path) == undisturbed  # as of one process, to the last digit


def test_ctrl_c_ends_it_in_order(tmp_path: Path, undisturbed: list[list[str]]) -> None:
    process = start(tmp_path)
    until(process, 2)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate()
    assert process.returncode == 130, said
    assert "stopped by Ctrl-C" in said
    assert "the same command goes on from here" in said
    assert queries.runs(store(tmp_path), status="RUNNING") == []
    assert conduct(tmp_path, *STUDY) == 0
    assert board(tmp_path) == undisturbed
