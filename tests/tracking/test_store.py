import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from reglab.errors import ConfigError
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store, open_store
from tests.processes import Process


def first_use(uri: str, ready: str, go: str) -> None:
    """Tells that it is there by the file `ready`, and opens store and run once there is a file `go`."""
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
def test_killed_while_it_makes_the_database_it_leaves_no_half_of_one(tmp_path: Path, seconds: float) -> None:
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


def test_opened_once_per_process(new_store: Callable[[str], Store]) -> None:
    assert new_store("exp") is new_store("exp")
    assert new_store("exp").experiment_id != new_store("other").experiment_id


def test_deleted_experiment_is_refused_with_the_remedy(new_store: Callable[[str], Store]) -> None:
    store = new_store("seen")
    gone = store.client.create_experiment("gone")
    store.client.delete_experiment(gone)
    with pytest.raises(ConfigError, match=rf"^tracking.experiment=gone: was deleted; .* --experiment-id {gone}$"):
        new_store("gone")


def test_database_of_another_mlflow_is_refused_with_the_remedy(tmp_path: Path, empty_database: Path) -> None:
    with closing(sqlite3.connect(empty_database)) as source, closing(sqlite3.connect(tmp_path / "old.db")) as old:
        source.backup(old)
        old.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
        old.commit()
    with pytest.raises(ConfigError, match=r"another version of MLflow; .* mlflow db upgrade sqlite:////[^\n]*$"):
        open_store(f"sqlite:///{tmp_path}/old.db", "exp")


def test_torn_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "torn.db").write_bytes(b"SQLite format 3\x00" + b"\x01" * 200)
    with pytest.raises(ConfigError, match=r"^tracking.uri=sqlite:////[^\n]*$"):
        open_store(f"sqlite:///{tmp_path}/torn.db", "exp")


def test_missing_driver_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^tracking.uri=mssql\+nodriver://me:\*\*\*@db/lab: [^\n]*$"):
        open_store("mssql+nodriver://me:secret@db/lab", "exp")
