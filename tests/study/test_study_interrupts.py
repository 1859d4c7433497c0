"""A study in several processes that is killed, interrupted and resumed has the results of an uninterrupted one."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from reglab.paths import PROJECT
from reglab.tracking import queries
from tests.conftest import fresh_store
from tests.execution.sweeps import children, output_overrides, parent, store
from tests.processes import Process
from tests.study.studies import TINY, leaderboard_rows, run_tiny_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500), pytest.mark.usefixtures("store_uri")]
STUDY = ["study.common.trainer.max_epochs=8", "study.trials=3", "study.seeds=3"]


def start(folder: Path) -> Process:
    """Start the study in its own process group."""
    pipeline = PROJECT / "pipelines" / "study.py"
    return Process(pipeline, *TINY, *STUDY, "workers=2", *output_overrides(folder), cwd=folder)


def read_until(process: Process, runs: int) -> str:
    """Read the output until `runs` runs of one phase have ended, in any order; return it."""
    output = ""
    for line in process.stdout:
        output += line
        runs -= line.startswith("[")
        if not runs:
            return output
    raise AssertionError(output)


def test_a_killed_and_interrupted_study_is_resumed(
    tmp_path: Path, empty_database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(tmp_path)
    read_until(process, 1)  # in the middle of tuning
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    assert psutil.wait_procs(workers, timeout=20)[1] == []  # workers end without their parent
    tuned = {run.run_id for run in children(tmp_path) if run.status == "FINISHED"}
    assert 1 <= len(tuned) < 6

    process = start(tmp_path)
    read_until(process, 7 - len(tuned))  # in the middle of confirmation
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all processes receive it
    output = process.communicate()
    assert process.returncode == 130, output
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    last = [line for line in output.splitlines() if not line.startswith("[")]
    assert last == ["stopped by Ctrl-C; the same command resumes here"]
    assert queries.runs(store(tmp_path), status="RUNNING") == []
    assert parent(tmp_path).status == "KILLED"
    done = {run.run_id for run in children(tmp_path) if run.status == "FINISHED"}
    assert tuned < done
    assert 7 <= len(done) < 12

    capsys.readouterr()
    assert run_tiny_study(tmp_path, *STUDY) == 0
    assert f"{len(done)} of about 12 runs are already finished: reused" in capsys.readouterr().out
    finished = [run for run in children(tmp_path) if run.status == "FINISHED"]
    assert done < {run.run_id for run in finished}
    assert len(finished) == len({run.tags["config_hash"] for run in finished}) == 12  # no run trained twice
    assert {run.status for run in children(tmp_path)} <= {"FINISHED", "KILLED"}
    assert queries.runs(store(tmp_path), status="RUNNING") == []

    uninterrupted = tmp_path / "uninterrupted"
    uninterrupted.mkdir()
    fresh_store(empty_database, uninterrupted)
    assert run_tiny_study(uninterrupted, *STUDY) == 0  # one process, without interrupts
    assert leaderboard_rows(tmp_path) == leaderboard_rows(uninterrupted)  # equal in every digit
