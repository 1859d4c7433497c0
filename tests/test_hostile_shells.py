"""Real commands with a closed output pipe, an ASCII terminal, and a store with a password."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from reglab.paths import PROJECT
from reglab.tracking import queries
from reglab.tracking.store import open_store
from tests.conftest import fresh_store
from tests.processes import Process
from tests.tracking.servers import end, free_port, start

pytestmark = pytest.mark.slow
SECRET = "Zx9-secret_Q7"
SHORT = ["data=wine", "trainer.max_epochs=1", "model.hidden_sizes=[4]"]


def command_lines(pid: int, found: set[str], stop: threading.Event) -> None:
    """Collect the command lines of all descendants of a process."""
    while not stop.is_set():
        for child in psutil.Process(pid).children(recursive=True):
            try:
                found.add(" ".join(child.cmdline()))
            except psutil.Error:
                continue
        time.sleep(0.1)


def script(name: str) -> Path:
    return PROJECT / "pipelines" / f"{name}.py"


@pytest.fixture
def served(tmp_path: Path, empty_database: Path) -> Iterator[tuple[str, str]]:
    """URI of a database, and URI of its tracking server with a password, which the server ignores."""
    plain = fresh_store(empty_database, tmp_path)
    address, server = start(tmp_path, plain, free_port())
    yield plain, address.replace("://", f"://me:{SECRET}@")
    end(server)


def test_a_secret_is_stored_nowhere_and_a_closed_pipe_changes_nothing(
    tmp_path: Path, served: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, uri = served
    typed = f"tracking.uri='{uri}'"

    monkeypatch.setenv("ELSEWHERE", uri)
    named = "tracking.uri=${oc.env:ELSEWHERE}"  # a typed URI with a secret restarts the process

    def run_command(name: str, *arguments: str, store: str = named, code: int = 0, close_pipe: bool = False) -> str:
        process = Process(script(name), *arguments, store, cwd=tmp_path)
        if close_pipe:
            process.stdout.readline()
            process.stdout.close()
            process.wait()
            output = ""
        else:
            output = process.communicate()
        assert process.returncode == code, output
        assert SECRET not in output
        return output

    # A sweep in a real shell: workers, an ASCII terminal, and a pipe that is closed after one line.
    line = ["-m", *SHORT, "regularizer=none,dropout", "seed=0", "workers=2", "report.dir=reports"]
    quoted = " ".join(f'"{word}"' for word in [sys.executable, str(script("train")), *line])
    bash = subprocess.Popen(
        ["bash", "-c", f'{quoted} "$TYPED" 2>errors | head -1 >lines; exit ${{PIPESTATUS[0]}}'],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "20", "TYPED": typed},  # not bash's command line
    )
    seen: set[str] = set()
    stop = threading.Event()
    watcher = threading.Thread(target=command_lines, args=(bash.pid, seen, stop))
    watcher.start()
    try:
        assert bash.wait(240) == 0, (tmp_path / "errors").read_text()
    finally:
        stop.set()
        watcher.join()
    assert (tmp_path / "lines").read_text().count("\n") == 1
    assert [found for found in seen if "forkserver" in found]
    # The typed URI is on the command line until the process restarts without it.
    held = {found for found in seen if SECRET in found}
    assert all("train.py -m " in found for found in held)
    assert [found for found in seen if "tracking.uri=null" in found]

    records = queries.runs(open_store(plain, "reglab"))
    assert sorted(record.status for record in records) == ["FINISHED"] * 3
    assert (tmp_path / "reports" / "leaderboard.csv").read_text().count("\n") == 3

    # A failing run, a rerun, an export, a report.
    output = run_command("train", *SHORT, "optimizer=sgd", "optimizer.lr=1e30", store=typed, code=1)
    assert "is FAILED" in output
    run_id = records[1].run_id
    assert "equal" in run_command("rerun", f"run_id={run_id}")
    assert "set MLFLOW_TRACKING_URI" in run_command("export", f"run_id={run_id}")
    run_command(
        "report", "metric=test/accuracy", f"sweep={records[0].tags['sweep']}", "report.dir=again", close_pipe=True
    )
    run_command("status", close_pipe=True)
    assert "test/accuracy" in run_command("train", *SHORT, "seed=7")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 40
    assert [str(path) for path in files if SECRET.encode() in path.read_bytes()] == []
