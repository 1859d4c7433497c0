"""Stores with damaged or hostile content: it is ignored with a message and does no harm."""

import base64
import json
import sqlite3
import time
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.entities import Metric, Param

from reglab.config.compose import Composer
from reglab.schema.errors import ConfigError
from reglab.study.publish import compare
from reglab.study.status import print_status
from reglab.tracking import artifacts, liveness, parent, queries, view
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store, open_store
from reglab.training import original_run
from tests.tracking.test_queries import add

JOB = {"config_hash": "a", "setting": "s", "strategy": "none", "data": "digits", "seed": "0", "label": "none seed=0"}


def add_run_info(store: Store, strategy: str, seed: int, accuracy: float, **tags: str) -> str:
    known = {"strategy": strategy, "data": "digits", "model": "mlp", "seed": str(seed), "phase": "sweep"}
    run = add(store, "RUNNING", **known, config_hash=f"{strategy}{seed}", setting="s", **tags)
    store.client.log_batch(run, [Metric("test/accuracy", accuracy, 0, 0), Metric("best/val/accuracy", accuracy, 0, 0)])
    store.client.set_terminated(run, "FINISHED")
    return run


def add_malformed_runs(store: Store) -> None:
    """Add malformed runs to the store, through SQL if MLflow would refuse them."""
    for pid in ("-1", "0", "1e400", '"x"'):
        owner = json.dumps(json.loads(liveness.this_process()) | {"pid": "PID"}).replace('"PID"', pid)
        add(store, "RUNNING", owner=owner, heartbeat="nan", config_hash="x")
    add(store, "RUNNING", owner="[" * 5000, heartbeat="inf")
    plain = add(store)
    malformed = add_run_info(store, "none", 7, 0.5, about="{" * 4000, declared="[", **{"mlflow.parentRunId": "0" * 32})
    store.client.log_batch(malformed, params=[Param("a b/c.d-e", "x" * 6000)])
    with closing(sqlite3.connect(store.uri.removeprefix("sqlite:///"))) as database:
        rows = [("huge", "h" * 3_000_000, plain), ("mlflow.parentRunId", plain, plain), ("\x1b[31m", "\x1b[2J", plain)]
        database.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", rows)
        database.execute(
            "UPDATE tags SET value = ? WHERE key = 'mlflow.parentRunId' AND run_uuid = ?", (malformed, malformed)
        )
        for key, value in (("test/accuracy", float("inf")), ("a\nb", 1.0), ("nan", 0.0)):
            columns = "key, value, timestamp, step, is_nan, run_uuid"
            row = (key, value, key == "nan", malformed)
            database.execute(f"INSERT OR REPLACE INTO latest_metrics ({columns}) VALUES (?, ?, 0, 0, ?, ?)", row)
        large_state = base64.b64encode(zlib.compress(b" " * 300_000_000, 9)).decode()
        state = json.dumps({"name": "n", "createdAt": 1, "updatedAt": 1, "state": f"deflate;{large_state}"})
        tag = "INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)"
        database.execute(tag, (f"mlflow.sharedViewState.{view.KEY}", state, store.experiment_id))
        database.execute(tag, ("mlflow.sharedViewState.other", "v" * 5_000_000, store.experiment_id))
        database.commit()


@pytest.mark.slow
def test_status_and_report_of_a_poisoned_store(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        for strategy in ("none", "l2"):
            add_run_info(store, strategy, seed, 0.8 + seed / 100)
    parent_id = parent.open_parent(store, "sweep", [JOB])
    parent.close_parent(store, parent_id, "FINISHED")
    add_malformed_runs(store)
    began = time.monotonic()
    print_status(store, None)
    out, err = capsys.readouterr()
    assert out.endswith("sweep: 0 of 1 done, 1 missing\n")
    assert err.count("names no process: not changed") == 5
    assert {r.status for r in queries.runs(store) if "owner" in r.tags} == {"RUNNING", "FINISHED"}
    overrides = [
        f"tracking.uri={store.uri}",
        "tracking.experiment=exp",
        "metric=test/accuracy",
        f"report.dir={tmp_path}/r",
    ]
    report = compare(Composer("report").compose(overrides))
    (none,) = [line for line in report.findings.entries if line.label == "none"]
    assert none.n == 3  # without the infinite value
    view.save(store.client, store.experiment_id)
    assert time.monotonic() - began < 60


@pytest.mark.slow
@pytest.mark.parametrize("text", ["{", "[" * 100_000, "{}", "null", '"a"', "\ud800".encode("utf-8", "surrogatepass")])
def test_a_damaged_list_of_runs_is_left_out(
    store: Store, capsys: pytest.CaptureFixture[str], text: str | bytes
) -> None:
    parent_id = parent.open_parent(store, "sweep", [JOB])
    file = artifacts.of_run(store, parent_id).dir / parent.DECLARED  # type: ignore[operator]
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert parent.declared(store, parent_id) == []
    assert f"run_id={parent_id}: declared.json is damaged" in capsys.readouterr().err
    assert parent.open_parent(store, "sweep", [JOB]) == parent_id
    assert [job["config_hash"] for job in parent.declared(store, parent_id)] == ["a"]
    parent.close_parent(store, parent_id, "FINISHED")


def test_damaged_entries_are_left_out_and_counted(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    parent_id = parent.open_parent(store, "sweep", [])
    bad: list[object] = [1, None, [], {}, {"config_hash": 1}, JOB | {"start": "x"}, JOB | {"setting": []}]
    bad += [JOB | {"trial": []}, JOB | {"values": 5}, JOB | {"phase": "tune", "trial": 0}]
    artifacts.of_run(store, parent_id).write_text(json.dumps([JOB, *bad]), parent.DECLARED)
    assert parent.declared(store, parent_id) == [JOB]
    assert "10 entries of 11 cannot be read: left out" in capsys.readouterr().err
    parent.close_parent(store, parent_id, "FINISHED")


def test_a_file_that_is_too_large_is_left_out(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    parent_id = parent.open_parent(store, "sweep", [JOB])
    with open(artifacts.of_run(store, parent_id).dir / parent.DECLARED, "wb") as file:  # type: ignore[operator]
        file.truncate(artifacts.LARGEST + 1)
    assert parent.declared(store, parent_id) == []
    assert "declared.json is damaged (64 MiB" in capsys.readouterr().err
    parent.close_parent(store, parent_id, "FINISHED")


def execute_sql(store: Store, statement: str, *values: object) -> None:
    """Execute a SQL statement on the database of the store."""
    with closing(sqlite3.connect(store.uri.removeprefix("sqlite:///"))) as database:
        database.execute(statement, values)
        database.commit()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["", "file://", "ftp://127.0.0.1:1", "http://127.0.0.1:1"])
def test_artifacts_outside_the_store_are_neither_read_nor_written(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], scheme: str
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / parent.DECLARED).write_text(json.dumps([JOB]), encoding="utf-8")
    parent_id = parent.open_parent(store, "sweep", [JOB])
    parent.close_parent(store, parent_id, "FINISHED")
    add_run_info(store, "none", 0, 0.8, about="{... (9000 characters: tags/about.txt)")
    execute_sql(store, "UPDATE runs SET artifact_uri = ?", f"{scheme}{victim}")
    with pytest.raises(ConfigError, match=rf"^run_id={parent_id}: its artifacts are at .*tracking.uri=sqlite"):
        artifacts.of_run(store, parent_id)
    with pytest.raises(ConfigError, match=rf"^run_id={parent_id}: "):
        parent.open_parent(store, "sweep", [JOB])
    parent.close_parent(store, parent.open_parent(store, "other", [JOB]), "FINISHED")
    print_status(store, None)
    assert parent.declared(store, parent_id) == []
    assert f"run_id={parent_id}: its artifacts are at" in capsys.readouterr().err
    overrides = [f"tracking.uri={store.uri}", "tracking.experiment=exp", "metric=test/accuracy"]
    report = compare(Composer("report").compose([*overrides, f"report.dir={tmp_path}/r"]))
    assert [line.n for line in report.findings.entries] == [1]
    planted = store.client.create_experiment("planted", f"{scheme}{victim}")
    with pytest.raises(ConfigError, match=r"^tracking.uri=.*new tracking.experiment"):
        TrackedRun.open(open_store(store.uri, "planted"), name="x", tags={}, params={})
    assert store.client.search_runs([planted]) == []
    assert [file.name for file in victim.iterdir()] == [parent.DECLARED]


def test_links_out_of_a_run_are_not_followed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "a").write_text("secret", encoding="utf-8")
    files = artifacts.of_run(store, add_run_info(store, "none", 0, 0.8))
    files.write_text("own", "own/a")
    assert files.dir is not None
    (files.dir / "folder").symlink_to(tmp_path / "victim")
    (files.dir / "file").symlink_to(tmp_path / "victim" / "a")
    (files.dir / "inside").symlink_to(files.dir / "own" / "a")
    assert files.read_text("inside") == "own"
    for path in ("folder/a", "file"):
        with pytest.raises(ConfigError, match="leads out of the run's folder"):
            files.read_text(path)
    with pytest.raises(ConfigError, match="leads out of the run's folder"):
        files.write_text("x", "folder/b")
    with pytest.raises(ConfigError, match="leads out of the run's folder"), files.folder("folder"):
        pass
    assert [file.name for file in (tmp_path / "victim").iterdir()] == ["a"]


@pytest.mark.slow
@pytest.mark.parametrize("column", ["start_time", "user_id", "status"])
def test_incomplete_rows_are_left_out_with_a_message(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str
) -> None:
    parent.close_parent(store, parent.open_parent(store, "sweep", [JOB]), "FINISHED")
    kept, incomplete = add_run_info(store, "none", 0, 0.8), add_run_info(store, "none", 1, 0.8)
    execute_sql(store, f"UPDATE runs SET {column} = NULL WHERE run_uuid = ?", incomplete)
    print_status(store, None)
    assert queries.finished(store, ["none0", "none1"])["none0"].run_id == kept
    view.save(store.client, store.experiment_id)
    assert capsys.readouterr().err.count(f"tracking.uri={store.uri}: damaged runs are left out") == 1
    overrides = [f"tracking.uri={store.uri}", "tracking.experiment=exp", "metric=test/accuracy"]
    report = compare(Composer("report").compose([*overrides, f"report.dir={tmp_path}/r"]))
    assert [line.n for line in report.findings.entries] == [1]
    with pytest.raises(ConfigError, match=f"^run_id={incomplete}: cannot be read from sqlite"):
        original_run.find(store.uri, incomplete)


def test_a_run_without_its_folder_has_no_files(store: Store) -> None:
    import shutil

    parent_id = parent.open_parent(store, "sweep", [JOB])
    shutil.rmtree(artifacts.of_run(store, parent_id).dir)  # type: ignore[arg-type]
    assert parent.declared(store, parent_id) == []
    parent.close_parent(store, parent_id, "FINISHED")
