"""A tracking server that dies during a study: a one-line error, and the same command resumes the study."""

import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing as closing_connection
from dataclasses import dataclass
from pathlib import Path

import pytest

from reglab.cli import report_error
from reglab.schema.errors import StoreLost
from reglab.stopping import Stopped
from reglab.study.closing import ParentRun, closing
from reglab.tracking import parent, queries
from reglab.tracking import store as stores
from reglab.tracking.store import Store, open_store
from tests.conftest import fresh_store
from tests.execution.sweeps import children, store
from tests.study.studies import leaderboard_rows, run_tiny_study
from tests.tracking.servers import end, free_port, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
STUDY = ["study.common.trainer.max_epochs=10", "study.trials=1"]  # 8 runs


@dataclass(frozen=True)
class Lost:
    """A study whose tracking server died while it ran.

    Attributes:
        folder: folder with the database of the server.
        address: address of the server.
        served: the store, opened through the server before it died.
        sweep: id of a parent run of another sweep, still RUNNING.
        error: the error that ended the study.
    """

    folder: Path
    address: str
    served: Store
    sweep: str
    error: StoreLost


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Lost]:
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        uri = fresh_store(empty_database, folder)
        address, server = start(folder, uri, free_port())
        served = open_store(address, "reglab")
        sweep = parent.open_parent(served, "some", [])

        def kill_server() -> None:
            while sum(run.status == "FINISHED" for run in children(folder)) < 2:
                time.sleep(0.05)
            end(server)

        killer = threading.Thread(target=kill_server, daemon=True)
        killer.start()
        with pytest.raises(StoreLost) as lost:
            run_tiny_study(folder, f"tracking.uri={address}", *STUDY)
        killer.join()
        with closing_connection(sqlite3.connect(folder / "mlflow.db")) as database:  # locations stored by the server
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                moved = f"UPDATE {table} SET {column} = replace({column}, 'mlflow-artifacts:/', ?)"
                database.execute(moved, (f"{folder}/mlartifacts/",))
            database.commit()
        stores._opened.clear()  # clear the cached store, which has the old locations
        yield Lost(folder, address, served, sweep, lost.value)


def test_a_lost_server_is_reported_in_one_line(lost: Lost) -> None:
    message = str(lost.error)
    dying = r"unreachable \([^)]+\); start the server|no answer within"  # refused, or reset while the server ends
    assert re.match(rf"tracking.uri={lost.address}: ({dying})", message), message
    assert message.endswith("(the same command then resumes unfinished runs)")
    assert "\n" not in message
    assert report_error(lost.error, [], "study") == 1


def test_a_server_that_dies_between_runs_is_reported(lost: Lost) -> None:
    def declare() -> None:
        with closing(lost.served, ParentRun("some", "sweep", lost.sweep)):
            parent.replace_declared(lost.served, lost.sweep, [])

    with pytest.raises(StoreLost, match="Connection refused"):
        declare()
    (left,) = queries.runs(store(lost.folder), status="RUNNING", tags={"sweep": "some"})
    assert left.run_id == lost.sweep


def test_a_signal_does_not_wait_for_a_server_that_is_gone(lost: Lost) -> None:
    with pytest.raises(Stopped), closing(lost.served, ParentRun("some", "sweep")):
        raise Stopped(2)


def test_the_study_resumes_its_unfinished_runs(lost: Lost, capsys: pytest.CaptureFixture[str]) -> None:
    before = {run.run_id for run in children(lost.folder) if run.status == "FINISHED"}
    assert 2 <= len(before) < 8
    assert run_tiny_study(lost.folder, *STUDY) == 0  # directly on the database, since starting a server is slow
    assert f"{len(before)} of about 8 runs are already finished: reused" in capsys.readouterr().out
    done = [run for run in children(lost.folder) if run.status == "FINISHED"]
    assert before < {run.run_id for run in done}
    assert len(done) == len({run.tags["config_hash"] for run in done}) == 8
    assert [run.run_id for run in queries.runs(store(lost.folder), status="RUNNING")] == [lost.sweep]
    assert {row[1] for row in leaderboard_rows(lost.folder)[1:]} == {"3"}
