"""Commands that read create no files, and work on read-only stores."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reglab.config.compose import Composer
from reglab.inference.generation import print_generated
from reglab.schema.errors import ConfigError
from reglab.study.publish import compare
from reglab.study.status import print_status
from reglab.tracking import parent, queries, ui
from reglab.tracking.store import Store, open_existing, open_store
from reglab.training import original_run
from tests.study.studies import run_tiny_study
from tests.tracking.test_liveness import GONE
from tests.tracking.test_poisoned import JOB
from tests.tracking.test_queries import add


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def filled(store: Store) -> Store:
    """Store with a sweep and a run whose process has ended."""
    parent.close_parent(store, parent.open_parent(store, "sweep", [JOB]), "FINISHED")
    add(store, "RUNNING", owner=GONE, config_hash="a")
    return store


@pytest.mark.slow
@pytest.mark.parametrize("read_only", ["file", "folder"])
def test_status_of_a_store_without_write_permission(
    filled: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], read_only: str
) -> None:
    (tmp_path / "mlflow.db").chmod(0o444)
    if read_only == "folder":
        tmp_path.chmod(0o555)
    before = listing(tmp_path)
    store = open_existing(filled.uri, "exp")
    print_status(store, None)
    out, err = capsys.readouterr()
    assert out.endswith("sweep: 0 of 1 done, 1 running\n")
    assert "is read-only: " in err
    assert "not marked KILLED" in err
    assert queries.mark_dead_runs_killed(store) == []
    assert set(listing(tmp_path)) <= {*before, "mlflow.db-shm", "mlflow.db-wal"}
    with pytest.raises(ConfigError, match="read-only"):
        open_store(filled.uri, "another")
    tmp_path.chmod(0o755)


@pytest.fixture
def read_only_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Read-only bind mount of the folder ``source`` beside it."""
    folder = tmp_path_factory.mktemp("mounts")
    (folder / "source").mkdir()
    (folder / "bound").mkdir()
    commands = (["mount", "--bind", "source", "bound"], ["mount", "-o", "remount,ro,bind", "bound"])
    if os.geteuid() != 0 or subprocess.run(commands[0], cwd=folder, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a folder read-only")
    try:
        subprocess.run(commands[1], cwd=folder, check=True)
        yield folder / "bound"
    finally:
        subprocess.run(["umount", "--lazy", "bound"], cwd=folder, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("log", ["none", "left over"])
def test_a_database_on_a_read_only_disk(filled: Store, tmp_path: Path, read_only_folder: Path, log: str) -> None:
    source = read_only_folder.parent / "source"
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        if log == "none":
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copy(tmp_path / "mlflow.db", source)
        else:  # as a killed process leaves it
            database.execute("CREATE TABLE later (n)")
            database.commit()
            for suffix in ("", "-wal"):
                shutil.copy(tmp_path / f"mlflow.db{suffix}", source)
            assert (source / "mlflow.db-wal").stat().st_size
    store = open_existing(f"sqlite:///{read_only_folder}/mlflow.db", "exp")
    assert store.read_only
    assert [record.tags.get("config_hash") for record in queries.runs(store, status="RUNNING")] == ["a"]
    assert [record.name for record in queries.runs(store, tags={"phase": "parent"})] == ["sweep"]
    assert listing(source) == (["mlflow.db"] if log == "none" else ["mlflow.db", "mlflow.db-wal"])


@pytest.mark.parametrize("existing", ["nothing", "an empty file"])
def test_reading_creates_no_database_and_no_folder(tmp_path: Path, existing: str) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    if existing != "nothing":
        (tmp_path / "mlflow.db").touch()
    before = listing(tmp_path)
    for read in (lambda: open_existing(uri, "exp"), lambda: ui.open_writable(uri, "exp")):
        with pytest.raises(ConfigError, match="nothing was tracked there yet"):
            read()
    assert listing(tmp_path) == before


def test_reading_creates_no_experiment(filled: Store) -> None:
    with pytest.raises(ConfigError, match="no such experiment; did you mean exp"):
        open_existing(filled.uri, "expp")
    assert filled.client.get_experiment_by_name("expp") is None


@pytest.mark.slow
def test_commands_that_read_leave_an_empty_folder_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    reads: list[Callable[[], object]] = [
        lambda: compare(Composer("report").compose([uri])),
        lambda: print_generated(Composer("generate").compose([uri]), "x"),
        lambda: original_run.find(uri.partition("=")[2], "0" * 32),
    ]
    for read in reads:
        with pytest.raises(ConfigError, match="nothing was tracked there yet"):
            read()
    assert run_tiny_study(tmp_path, "dry_run=true") == 0
    assert "10 runs left for" in capsys.readouterr().out
    assert listing(tmp_path) == []
