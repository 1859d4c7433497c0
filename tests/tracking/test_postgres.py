"""Stores in PostgreSQL: concurrent first use, column limits, and lost servers."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from reglab.schema.errors import ConfigError, StoreLost
from reglab.tracking import artifacts, client, locks, parent, queries, reachability
from reglab.tracking.location import resolve
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store, open_existing, open_store
from tests.processes import Process
from tests.study.studies import run_tiny_study
from tests.tracking.postgres import Postgres, running
from tests.tracking.servers import free_port
from tests.tracking.test_store import first_use

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def store(server: Postgres) -> Store:
    return open_store(server.database("lab"), "exp")


def test_first_use_by_ten_processes_at_once(server: Postgres, tmp_path: Path) -> None:
    uri, go = server.database("fresh"), tmp_path / "go"
    ready = [tmp_path / f"ready{i}" for i in range(10)]
    processes = [Process(first_use, uri, str(r), str(go)) for r in ready]
    while not all(r.exists() for r in ready) and all(p.poll() is None for p in processes):
        time.sleep(0.05)
    go.touch()
    lines = [line for p in processes for line in p.communicate().splitlines()]
    assert [line for line in lines if not line.startswith("waiting for another process that uses")] == []
    assert [p.returncode for p in processes] == [0] * 10
    store = open_store(uri, "shared")
    assert sorted(e.name for e in store.client.search_experiments()) == ["Default", "shared"]
    assert [r.status for r in queries.runs(store)] == ["FINISHED"] * 10


def test_long_values(store: Store) -> None:
    long = {"about": "x" * 20_000, "short": "y" * 8000}
    with TrackedRun.open(store, name="n" * 1000, tags=long, params={"p": "z" * 9000}) as run:
        run.set_tags({"remark": "ä" * 9000})
        run.log_metrics({"test/loss": 1.0})
    record = queries.run(store, run.id)
    assert record.status == "FINISHED"
    assert record.tags["short"] == long["short"]
    for key, value in {"about": long["about"], "remark": "ä" * 9000}.items():
        assert len(record.tags[key]) == 8000
        assert record.tags[key].endswith(f"... ({len(value)} characters: tags/{key}.txt)")
        assert queries.full_tag(store, record, key) == value
    assert queries.full_tag(store, record, "short") == long["short"]
    assert artifacts.of_run(store, run.id).read_text("params/p.txt") == "z" * 9000
    assert len(record.params["p"]) == 6000


def test_a_parent_is_reopened(store: Store) -> None:
    first = parent.open_parent(store, "sweep", [{"config_hash": "a", "setting": "s"}], tags={"why": "w" * 9000})
    parent.close_parent(store, first, "FINISHED")
    assert parent.open_parent(store, "sweep", [{"config_hash": "b", "setting": "s"}]) == first
    parent.close_parent(store, first, "FINISHED")
    assert [job["config_hash"] for job in parent.declared(store, first)] == ["a", "b"]


def test_a_name_longer_than_its_column_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"^tracking\.experiment=e{40}\.\.\.: has 251 characters; give at most 250$"):
        open_store(store.uri, "e" * 251)


HOLD = """
import sys
from reglab.tracking.locks import locked
from reglab.tracking.location import parse_location
with locked(parse_location(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_held_by_another_process_is_waited_for_and_named(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", HOLD, store.uri]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    monkeypatch.setattr(locks, "ANNOUNCE_S", 0.2)
    with pytest.raises(StoreLost, match="locked by another process for 1 s"), locks.locked(store.location, timeout=1.0):
        pass
    assert "waiting for another process that uses" in capsys.readouterr().err
    other.kill()  # the server releases the lock
    other.wait()
    with store.lock(), store.lock():
        pass


def test_reading_creates_no_tables(server: Postgres) -> None:
    uri = server.database("empty")
    with pytest.raises(ConfigError, match="nothing was tracked there yet"):
        open_existing(uri, "exp")


@pytest.mark.parametrize("what", ["port", "user", "database"])
def test_refused_connections_are_reported_in_one_line(server: Postgres, what: str) -> None:
    right = {"port": str(server.port), "user": "lab", "database": "postgres"}
    wrong = {**right, what: {"port": str(free_port()), "user": "nobody", "database": "no-such"}[what]}
    began = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        resolve(f"postgresql://{wrong['user']}:secret@127.0.0.1:{wrong['port']}/{wrong['database']}")
    assert time.monotonic() - began < 10
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "Connection refused" in str(caught.value) or "does not exist" in str(caught.value)


def call_after_runs(action: Callable[[], object], server: Postgres, name: str, runs: int) -> threading.Thread:
    """Start a thread that calls `action` once `runs` runs of the database `name` are FINISHED."""

    def wait() -> None:
        count = b"SELECT count(*) FROM runs WHERE status = 'FINISHED'"
        with psycopg.connect(f"host=127.0.0.1 port={server.port} user=lab dbname={name}", autocommit=True) as database:
            while database.execute(count).fetchone() < (runs,):  # type: ignore[operator]
                time.sleep(0.02)
        action()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def run_study_with_short_waits(folder: str, call_s: str, *study: str) -> None:
    """Run a study with short waits; exit with the error if the store is lost."""
    client._RESTART_S = reachability._CONNECT_S = 2.0
    client._CALL_S = float(call_s)
    try:
        sys.exit(run_tiny_study(Path(folder), *study))
    except StoreLost as error:
        sys.exit(str(error))


@pytest.mark.timeout(300)
def test_a_study_whose_server_stops_or_hangs_ends_in_one_line_and_is_resumed(server: Postgres, tmp_path: Path) -> None:
    study = [f"tracking.uri={server.database('study')}", "study.trials=1", "study.common.trainer.max_epochs=5"]
    store = open_store(study[0].partition("=")[2], "reglab")

    def finished() -> list[queries.Record]:
        return queries.runs(store, status="FINISHED")

    def interrupted_study(event: Callable[[], object], runs: int, call_s: float) -> tuple[int | None, str]:
        waiting = call_after_runs(event, server, "study", runs)
        process = Process(run_study_with_short_waits, str(tmp_path), str(call_s), *study)
        output = process.communicate()
        waiting.join()
        return process.returncode, output.splitlines()[-1]

    code, output = interrupted_study(server.stop, 2, 60)
    server.start()
    assert code == 1
    assert output.startswith("tracking.uri=postgresql://")
    assert "(the same command then resumes unfin" in output
    first = {run.run_id for run in finished()}
    assert 2 <= len(first) < 8

    code, output = interrupted_study(server.hang, len(first) + 1, 6)
    server.go_on()
    assert code == 1
    assert output.startswith("tracking.uri=postgresql://")
    assert "no answer within" in output
    second = {run.run_id for run in finished()}

    waiting = call_after_runs(server.hang, server, "study", len(second) + 1)
    process = Process(run_study_with_short_waits, str(tmp_path), "120", *study)
    waiting.join()
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    server.go_on()
    third = {run.run_id for run in finished()}
    assert first < second < third

    process = Process(run_study_with_short_waits, str(tmp_path), "120", *study)
    assert f"{len(third)} of about 8 runs are already finished: reused" in process.communicate()
    assert process.returncode == 0
    done = [run for run in finished() if run.tags["phase"] != "parent"]
    assert third < {run.run_id for run in done}
    assert len(done) == len({run.tags["config_hash"] for run in done}) == 8
    assert queries.runs(store, status="RUNNING") == []


def test_a_server_that_restarts_is_waited_for_and_a_lost_one_reported(server: Postgres, store: Store) -> None:
    """Last test of the file, since it stops the server."""
    with TrackedRun.open(store, name="restarted", tags={}, params={}) as run:
        server.stop()
        server.start()
        run.log_metrics({"test/loss": 1.0})
    assert queries.run(store, run.id).metrics == {"test/loss": 1.0}
    server.stop()
    began = time.monotonic()
    with pytest.raises(StoreLost, match=r"^tracking\.uri=postgresql://lab@127[^\n]*unreachable \(Connection refused\)"):
        TrackedRun.open(store, name="lost", tags={}, params={})
    assert time.monotonic() - began < 30
