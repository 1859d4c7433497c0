import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from reglab.schema.errors import ConfigError, StoreLost
from reglab.tracking import client, database, locks
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store, open_existing, open_store
from tests.errors import config_error
from tests.processes import Process


def first_use(uri: str, ready: str, go: str) -> None:
    """Create the file `ready`, wait for the file `go`, and open a run in the store."""
    Path(ready).touch()
    while not Path(go).exists():
        time.sleep(0.005)
    with TrackedRun.open(open_store(uri, "shared"), name="first", tags={}, params={}):
        pass


@pytest.mark.slow
def test_first_use_by_four_processes_at_once(tmp_path: Path) -> None:
    uri, go = f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "go"
    ready = [tmp_path / f"ready{i}" for i in range(4)]
    processes = [Process(first_use, uri, str(r), str(go)) for r in ready]
    while not all(r.exists() for r in ready) and all(p.poll() is None for p in processes):
        time.sleep(0.01)
    go.touch()
    lines = [line for p in processes for line in p.communicate().splitlines()]
    assert [p.returncode for p in processes] == [0] * 4
    assert [line for line in lines if not line.startswith("waiting for another process that uses")] == []
    client = open_store(uri, "shared").client
    assert sorted(e.name for e in client.search_experiments()) == ["Default", "shared"]
    runs = client.search_runs([open_store(uri, "shared").experiment_id])
    assert [r.info.status for r in runs] == ["FINISHED"] * 4
    assert all(r.info.artifact_uri.startswith(f"{tmp_path}/mlartifacts/") for r in runs)
    assert client.get_experiment("0").artifact_location == f"{tmp_path}/mlartifacts/0"


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.1, 0.6])
def test_a_process_killed_while_it_creates_the_database_leaves_no_partial_file(tmp_path: Path, seconds: float) -> None:
    uri, ready, go = f"sqlite:///{tmp_path}/db/mlflow.db", tmp_path / "ready", tmp_path / "go"
    (tmp_path / "db").mkdir()
    go.touch()
    process = Process(first_use, uri, str(ready), str(go))
    while not [path for path in (tmp_path / "db").iterdir() if path.suffix != ".lock"]:
        time.sleep(0.005)
    time.sleep(seconds)  # the schema takes two seconds or more
    process.kill()
    process.wait()
    store = open_store(uri, "shared")
    assert store.client.search_runs([store.experiment_id]) == []
    assert list((tmp_path / "db").glob(".mlflow.db-*")) == []


def test_opened_once_per_process(new_store: Callable[[str], Store]) -> None:
    assert new_store("exp") is new_store("exp")
    assert new_store("exp").experiment_id != new_store("other").experiment_id


def test_deleted_experiment_is_refused_with_the_remedy(new_store: Callable[[str], Store]) -> None:
    store = new_store("seen")
    deleted = store.client.create_experiment("gone")
    store.client.delete_experiment(deleted)
    with config_error(f"tracking.experiment=gone: deleted ... --experiment-id {deleted}"):
        new_store("gone")


def test_database_of_another_mlflow_is_refused_with_the_remedy(tmp_path: Path, empty_database: Path) -> None:
    with closing(sqlite3.connect(empty_database)) as source, closing(sqlite3.connect(tmp_path / "old.db")) as old:
        source.backup(old)
        old.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
        old.commit()
    with pytest.raises(ConfigError, match=r"another version .* mlflow db upgrade"):
        open_store(f"sqlite:///{tmp_path}/old.db", "exp")


def test_torn_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "torn.db").write_bytes(b"SQLite format 3\x00" + b"\x01" * 200)
    with pytest.raises(ConfigError, match=r"^tracking.uri=sqlite:////[^\n]*$"):
        open_store(f"sqlite:///{tmp_path}/torn.db", "exp")


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1, 100, 4096, 50_000])
def test_a_truncated_database_is_refused_and_an_empty_file_is_filled(
    tmp_path: Path, empty_database: Path, size: int
) -> None:
    whole = empty_database.read_bytes()
    (tmp_path / "torn.db").write_bytes(whole[:size])
    began = time.monotonic()
    if size == 0:
        assert open_store(f"sqlite:///{tmp_path}/torn.db", "exp").experiment == "exp"
        return
    for read in (open_store, open_existing):
        with pytest.raises(ConfigError, match=r"^tracking.uri=sqlite:////[^\n]*$"):
            read(f"sqlite:///{tmp_path}/torn.db", "exp")
    assert time.monotonic() - began < 20
    assert (tmp_path / "torn.db").read_bytes() == whole[:size]


def test_a_file_that_was_replaced_beside_its_log_is_refused_with_the_remedy(
    tmp_path: Path, empty_database: Path
) -> None:
    (tmp_path / "a.db").write_bytes(empty_database.read_bytes())
    code = "import os, sqlite3; c = sqlite3.connect('a.db'); c.execute('PRAGMA journal_mode=WAL'); "
    code += "c.execute('CREATE TABLE x AS SELECT randomblob(500000)'); c.commit(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE y AS SELECT randomblob(100000)")
        other.commit()
    for whole, log in (
        ((tmp_path / "other.db").read_bytes(), "a.db-wal"),
        (empty_database.read_bytes()[:40_000], None),
    ):
        (tmp_path / "torn.db").write_bytes(whole)
        if log is not None:
            shutil.copy(tmp_path / log, tmp_path / "torn.db-wal")
        for read in (open_store, open_existing):
            with pytest.raises(ConfigError, match=r"the database is damaged \(") as caught:
                read(f"sqlite:///{tmp_path}/torn.db", "exp")
            assert ("move torn.db-wal away too" in str(caught.value)) == (log is not None)
        assert (tmp_path / "torn.db").read_bytes() == whole
        if log is not None:
            (tmp_path / "torn.db-wal").rename(tmp_path / log)


HOLD = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@contextmanager
def locked_database(path: Path, seconds: float) -> Iterator[None]:
    """Lock the database by another process for the given time."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_database_that_another_process_locks_is_waited_for(
    new_store: Callable[[str], Store],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    journal: str,
) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
    store = new_store("exp")
    monkeypatch.setattr(database, "_BUSY_MS", 100)
    monkeypatch.setattr(client, "ANNOUNCE_S", 0.3)
    monkeypatch.setattr(client.with_retries, "__kwdefaults__", {**client.with_retries.__kwdefaults__, "after": 0.3})
    with locked_database(tmp_path / "mlflow.db", 1.5):
        began = time.monotonic()
        with TrackedRun.open(store, name="patient", tags={}, params={}) as run:
            pass
        assert time.monotonic() - began > 1
    assert store.client.get_run(run.id).info.status == "FINISHED"
    assert "waiting for the tracking store" in capsys.readouterr().err


@pytest.mark.slow
def test_a_database_that_stays_locked_is_reported(
    new_store: Callable[[str], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store("exp")
    monkeypatch.setattr(database, "_BUSY_MS", 100)
    monkeypatch.setattr(client, "BUSY_S", 0.5)
    with (
        TrackedRun.open(store, name="first", tags={}, params={}),
        locked_database(tmp_path / "mlflow.db", 60),
        pytest.raises(StoreLost, match="locked by another process for 0 s"),
        TrackedRun.open(store, name="second", tags={}, params={}),
    ):
        pass


@pytest.mark.slow
def test_a_process_that_holds_the_lock_is_named(
    new_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store("exp")
    path = locks.lock_file(store.location)
    code = (
        "import filelock, sys, time; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; time.sleep(60)", str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        process.send_signal(signal.SIGSTOP)
        with (
            pytest.raises(StoreLost, match=rf"process {process.pid} \(stopped\)"),
            locks.locked(store.location, timeout=0.5),
        ):
            pass
        process.kill()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], check=True)
    try:
        store = open_store(f"sqlite:///{disk}/mlflow.db", "exp")
        with pytest.raises(StoreLost, match=r"no space is left .*\([0-9]+ KiB free\)"):
            log_on_full_disk(store, disk)
        with pytest.raises(ConfigError, match="no space is left"):
            open_store(store.uri, "another")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def log_on_full_disk(store: Store, disk: Path) -> None:
    """Fill the disk and log metrics in a run."""
    with TrackedRun.open(store, name="full", tags={}, params={}) as run:
        with contextlib.suppress(OSError):
            (disk / "large").write_bytes(b"x" * 32_000_000)
        for step in range(50_000):
            run.log_metrics({"m": 1.0}, step)


def test_missing_driver_is_one_line() -> None:
    with config_error("tracking.uri=mssql+nodriver://me:***@db/lab: "):
        open_store("mssql+nodriver://me:secret@db/lab", "exp")
