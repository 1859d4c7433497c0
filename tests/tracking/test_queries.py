import sqlite3
from contextlib import closing

import pytest
from mlflow.entities import Metric

from reglab.tracking import queries
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store


def add(store: Store, status: str = "FINISHED", **tags: str) -> str:
    run = store.client.create_run(store.experiment_id, tags=tags).info.run_id
    if status != "RUNNING":
        store.client.set_terminated(run, status)
    return run


def test_record_holds_what_was_logged(store: Store) -> None:
    with TrackedRun.open(store, name="a run", tags={"strategy": "l2"}, params={"seed": 3}) as run:
        run.log_metrics({"test/loss": 0.25})
        assert queries.runs(store)[0].ended is None
    (record,) = queries.runs(store)
    assert (record.run_id, record.status, record.name) == (run.id, "FINISHED", "a run")
    assert (record.tags["strategy"], record.params, record.metrics) == ("l2", {"seed": "3"}, {"test/loss": 0.25})
    assert record.ended is not None
    assert record.ended >= record.started > 1.7e9  # seconds


def test_filters(store: Store) -> None:
    a = add(store, strategy="l1", data="it's")
    b = add(store, "FAILED", strategy="l1")
    c = add(store, strategy="l2", data='"it\'s"')
    assert [r.run_id for r in queries.runs(store)] == [a, b, c]
    assert [r.run_id for r in queries.runs(store, tags={"strategy": "l1"})] == [a, b]
    assert [r.run_id for r in queries.runs(store, status="FINISHED", tags={"strategy": "l1"})] == [a]
    assert [r.run_id for r in queries.runs(store, tags={"data": "it's"})] == [a]
    assert [r.run_id for r in queries.runs(store, tags={"data": '"it\'s"'})] == [c]
    assert [r.run_id for r in queries.runs(store.client, store.experiment_id, "tags.strategy != 'l1'")] == [c]


def test_deleted_runs_are_never_read(store: Store) -> None:
    deleted = add(store, config_hash="h")
    store.client.delete_run(deleted)
    assert queries.runs(store) == []
    assert queries.finished(store, ["h"]) == {}


@pytest.mark.slow
def test_more_than_a_page_of_runs(store: Store) -> None:
    """Runs are inserted by one SQL statement, since 1,200 runs through the client would take 15 seconds."""
    template = add(store, config_hash="h")
    with closing(sqlite3.connect(store.uri.removeprefix("sqlite:///"))) as database:
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1199) "
        columns = [r[1] for r in database.execute("PRAGMA table_info(runs)")]
        copied = ", ".join("'run' || i" if c == "run_uuid" else c for c in columns)
        rows = f"INSERT INTO runs ({', '.join(columns)}) {numbers} SELECT {copied} FROM runs, n WHERE run_uuid = :run"
        database.execute(rows, {"run": template})
        tags = f"INSERT INTO tags (key, value, run_uuid) {numbers} SELECT 'config_hash', 'h' || i, 'run' || i FROM n"
        database.execute(tags)
        database.commit()
    assert len({r.run_id for r in queries.runs(store)}) == len(queries.runs(store)) == 1200
    many = [f"h{i}" for i in range(1300)]
    assert set(queries.finished(store, many)) == {f"h{i}" for i in range(1, 1200)}
    assert list(queries.finished(store, ["h7", "h9999", "h3"])) == ["h7", "h3"]


def test_finished_returns_the_newest_run_that_is_no_rerun(store: Store) -> None:
    add(store, config_hash="a")
    newer = add(store, config_hash="a")
    add(store, config_hash="a", rerun_of=newer)
    for status in ("FAILED", "KILLED", "RUNNING"):
        add(store, status, config_hash="a")
        add(store, status, config_hash="b")
    finished = queries.finished(store, ["b", "a", "a"])
    assert {h: r.run_id for h, r in finished.items()} == {"a": newer}
    assert queries.finished(store, []) == {}


def test_history_is_ordered_by_step_and_later_values_win(store: Store) -> None:
    run = add(store, "RUNNING")
    logged = [Metric("m", 1.0, 10, 1), Metric("m", 0.0, 20, 0), Metric("m", 5.0, 30, 1)]
    store.client.log_batch(run, logged)
    assert queries.history(store.client, run, "m") == [(0, 0.0), (1, 5.0)]
    assert queries.history(store.client, run, "other") == []


@pytest.mark.slow
def test_history_beyond_a_page(store: Store) -> None:
    run = add(store, "RUNNING")
    with closing(sqlite3.connect(store.uri.removeprefix("sqlite:///"))) as database:
        columns = "key, value, timestamp, run_uuid, step, is_nan"
        rows = [("m", float(s), s, run, s, 0) for s in range(27000)]
        database.executemany(f"INSERT INTO metrics ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)
        database.commit()
    assert queries.history(store.client, run, "m") == [(s, float(s)) for s in range(27000)]
