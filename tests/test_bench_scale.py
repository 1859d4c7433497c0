"""The benchmark on a store of many runs, with a hundred of them."""

import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from benchmarks import scale
from benchmarks.child import measure_command
from benchmarks.synthetic_store import SMALL_STORE, fill_store
from reglab.tracking import queries
from reglab.tracking.store import open_store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("crowd") / "mlflow.db"
    fill_store(path, SMALL_STORE)
    return path


def test_copies_have_the_tags_params_and_metrics_of_real_runs(database):
    original, *copies = queries.runs(open_store(f"sqlite:///{database}", "reglab"), status="FINISHED")
    assert len(copies) == SMALL_STORE.runs - 1
    assert len({record.tags["config_hash"] for record in (original, *copies)}) == SMALL_STORE.runs
    for record in copies:
        assert set(original.tags) <= set(record.tags)
        assert set(original.params) <= set(record.params)
        assert set(original.metrics) == set(record.metrics)
        assert record.ended - record.started == pytest.approx(original.ended - original.started)
    with closing(sqlite3.connect(database)) as connection:
        logged = Counter(run_id for (run_id,) in connection.execute("SELECT run_uuid FROM metrics"))
    assert {logged[record.run_id] for record in copies} == {logged[original.run_id]}


def test_every_figure_is_measured(database):
    costs = scale.measure_on_store(database, SMALL_STORE, 1, seconds=0.5)
    assert costs["runs"] == SMALL_STORE.runs
    assert costs["plan_all_done_left"] == 0
    assert costs["plan_none_done_left"] == costs["study_runs"] == SMALL_STORE.study_runs
    assert 0 < costs["search_alone_s"] < costs["search_s"]
    assert 0 < costs["tracking_s"] < costs["whole_s"]
    assert 0.1 < costs["train_s"] < 2.5
    assert all(costs[f"{name}_mb"] > 50 for name in ("search", "plan_none_done", "plan_all_done", "report"))
    assert all(costs[f"{name}_s"] > 0.5 for name in ("plan_none_done", "plan_all_done", "report"))
    assert (database.parent / "report" / "report.html").exists()


def test_a_process_is_charged_with_its_own_memory_alone():
    ballast = bytearray(300_000_000)
    small = measure_command(["python3", "-c", "print(1)"])
    large = measure_command(["python3", "-c", "x = b'x' * 200_000_000"])
    assert len(ballast) > 200_000_000
    assert small.output == "1"
    assert small.peak_mb < 100 < 200 < large.peak_mb < 300


def test_a_process_that_fails_is_reported():
    with pytest.raises(RuntimeError, match="broken"):
        measure_command(["python3", "-c", "raise SystemExit('broken')"])
