"""A tracking server that goes away in mid-study: one line, and the same command does what was lost."""

import threading
import time
from pathlib import Path

import pytest

from reglab.cli import report
from reglab.errors import StoreLost
from reglab.stopping import Stopped
from reglab.study.ending import closing
from reglab.tracking import parent, queries
from reglab.tracking.store import open_store
from tests.study.studies import board, conduct
from tests.study.sweeps import children, store
from tests.tracking.servers import end, free_port, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
STUDY = ["study.common.trainer.max_epochs=10", "study.trials=1"]  # 8 runs


def test_a_study_whose_server_dies_goes_on_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri, port = f"sqlite:///{tmp_path}/mlflow.db", free_port()
    store(tmp_path)
    address, server = start(tmp_path, uri, port)

    def kill_it() -> None:
        while sum(run.status == "FINISHED" for run in children(tmp_path)) < 2:
            time.sleep(0.05)
        end(server)

    killer = threading.Thread(target=kill_it, daemon=True)
    killer.start()
    with pytest.raises(StoreLost) as lost:
        conduct(tmp_path, f"tracking.uri={address}", *STUDY)
    killer.join()
    said = str(lost.value)
    assert said.startswith(f"tracking.uri={address}: unreachable (Connection refused); start the server or check")
    assert "\n" not in said
    assert report(lost.value, [], "study") == 1
    before = {run.run_id for run in children(tmp_path) if run.status == "FINISHED"}
    assert 2 <= len(before) < 8

    capsys.readouterr()
    assert conduct(tmp_path, *STUDY) == 0  # the database that the server served: to start it again takes half a minute
    assert f"{len(before)} of about 8 runs were over before: reused" in capsys.readouterr().out
    done = [run for run in children(tmp_path) if run.status == "FINISHED"]
    assert before < {run.run_id for run in done}
    assert len(done) == len({run.tags["config_hash"] for run in done}) == 8
    assert queries.runs(store(tmp_path), status="RUNNING") == []
    assert {row[1] for row in board(tmp_path)[1:]} == {"3"}


def test_a_server_that_dies_between_runs_is_told_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri, port = f"sqlite:///{tmp_path}/mlflow.db", free_port()
    store(tmp_path)
    address, server = start(tmp_path, uri, port)
    served = open_store(address, "reglab")

    def lose() -> None:
        with closing(served, "some") as entered:
            entered.run_id = parent.enter(served, "some", [])
            end(server)
            parent.declare(served, entered.run_id, [])

    def stop() -> None:
        with closing(served, "some"):
            raise Stopped(2)

    with pytest.raises(StoreLost, match="Connection refused"):
        lose()
    with pytest.raises(Stopped):  # and does not wait for a server that is gone
        stop()
    (left,) = queries.runs(store(tmp_path), status="RUNNING")
    assert left.run_id == parent.find(store(tmp_path), "some")
