import math
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from reglab.schema.errors import ConfigError, Diverged
from reglab.stopping import Stopped, defer_signals, stoppable
from reglab.tracking import artifacts, queries
from reglab.tracking.liveness import this_process
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store, open_store
from tests.processes import Process


def open_run(store: Store, **tags: object) -> TrackedRun:
    return TrackedRun.open(store, name="run", tags=tags, params={})


def raise_in_run(run: TrackedRun, error: BaseException) -> None:
    with run:
        run.log_metrics({"m": 1.0})
        raise error


def test_tags_and_params_are_logged_at_the_start(store: Store) -> None:
    parent = store.client.create_run(store.experiment_id).info.run_id
    tags, params = {f"t{i}": i for i in range(150)}, {f"p{i}": i / 8 for i in range(150)}
    with TrackedRun.open(store, name="a run", tags={**tags, "none": None}, params=params, parent=parent) as run:
        mlflow_run = store.client.get_run(run.id)
    assert mlflow_run.info.status == "RUNNING"
    assert mlflow_run.info.run_name == "a run"
    assert mlflow_run.data.params == {key: str(value) for key, value in params.items()}
    assert {key: mlflow_run.data.tags[key] for key in tags} == {key: str(value) for key, value in tags.items()}
    assert "none" not in mlflow_run.data.tags
    assert mlflow_run.data.tags["mlflow.parentRunId"] == parent
    assert mlflow_run.data.tags["owner"] == this_process()
    assert mlflow_run.data.tags["mlflow.user"]


@pytest.mark.slow
def test_a_finished_run_has_all_finite_metrics(store: Store) -> None:
    before = time.time() * 1000
    with open_run(store) as run:
        for step in range(1500):
            run.log_metrics({"val/loss": step / 2, "val/nan": math.nan, "val/inf": -math.inf}, step)
        run.set_tags({"split_hash": "abc", "no": None})
        assert store.client.get_run(run.id).data.metrics == {}  # still buffered
    mlflow_run = store.client.get_run(run.id)
    assert mlflow_run.info.status == run.status == "FINISHED"
    assert mlflow_run.data.metrics == {"val/loss": 749.5}
    assert mlflow_run.data.tags["split_hash"] == "abc"
    assert "no" not in mlflow_run.data.tags
    logged = store.client.get_metric_history(run.id, "val/loss")
    assert [(m.step, m.value) for m in logged] == [(s, s / 2) for s in range(1500)]
    assert all(before - 1 <= m.timestamp <= time.time() * 1000 for m in logged)


@pytest.mark.slow
def test_metrics_are_sent_after_two_seconds(store: Store) -> None:
    with open_run(store) as run:
        run.log_metrics({"m": 1.0}, 0)
        time.sleep(2.05)
        run.log_metrics({"m": 2.0}, 1)
        assert store.client.get_run(run.id).data.metrics == {"m": 2.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [Stopped(signal.SIGTERM), KeyboardInterrupt(), SystemExit(0), SystemExit(1), GeneratorExit()],
    ids=repr,
)
def test_a_stopped_run_is_killed_and_keeps_its_metrics(store: Store, error: BaseException) -> None:
    run = open_run(store)
    with pytest.raises(type(error)):
        raise_in_run(run, error)
    mlflow_run = store.client.get_run(run.id)
    assert (mlflow_run.info.status, mlflow_run.data.metrics) == ("KILLED", {"m": 1.0})
    assert "error" not in mlflow_run.data.tags


def test_failed_run_keeps_metrics_and_the_reason(store: Store) -> None:
    run = open_run(store)
    with pytest.raises(ZeroDivisionError):
        raise_in_run(run, ZeroDivisionError("by zero\nmore"))
    mlflow_run = store.client.get_run(run.id)
    assert (mlflow_run.info.status, mlflow_run.data.metrics) == ("FAILED", {"m": 1.0})
    assert mlflow_run.data.tags["error"].startswith("ZeroDivisionError: by zero")
    text = artifacts.of_run(store, run.id).read_text("error.txt") or ""
    assert text.startswith("ZeroDivisionError: by zero\n\nTraceback")
    assert "raise error" in text


def test_config_error_fails_the_run_with_its_line(store: Store) -> None:
    with pytest.raises(ConfigError), open_run(store) as run:
        raise ConfigError("data.path=x.csv: no such file")
    assert store.client.get_run(run.id).data.tags["error"] == "ConfigError: data.path=x.csv: no such file"
    text = artifacts.of_run(store, run.id).read_text("error.txt") or ""
    assert text.startswith("ConfigError: data.path=x.csv: no such file\n")


def test_divergence_is_tagged_with_its_step(store: Store) -> None:
    with pytest.raises(Diverged), open_run(store) as run:
        raise Diverged(17)
    mlflow_run = store.client.get_run(run.id)
    assert (mlflow_run.info.status, mlflow_run.data.tags["diverged"], mlflow_run.data.tags["diverged_step"]) == (
        "FAILED",
        "true",
        "17",
    )


def test_artifacts_are_where_mlflow_looks(store: Store) -> None:
    with open_run(store) as run:
        run.log_text("seed: 0\n", "config.yaml")
        run.log_text("seed: 1\n", "config.yaml")
        for name in ("best", "last"):  # a second time adds to the folder
            with run.folder("weights") as weights:
                (weights / f"{name}.safetensors").write_bytes(b"w")
    root = Path(store.client.download_artifacts(run.id, ""))
    assert root == artifacts.of_run(store, run.id).dir
    files = sorted(str(f.relative_to(root)) for f in root.rglob("*") if f.is_file())
    assert files == ["config.yaml", "weights/best.safetensors", "weights/last.safetensors"]
    assert (root / "config.yaml").read_text() == "seed: 1\n"
    for path in ("/tmp/x", "../x", "a/../../x", ""):
        with pytest.raises(ValueError, match="relative path"):
            run.log_text("", path)


def test_bad_param_leaves_no_run_open(store: Store) -> None:
    with pytest.raises(Exception, match="Invalid value"):
        TrackedRun.open(store, name="run", tags={}, params={"not:\x00allowed": 1})
    assert [r.status for r in queries.runs(store)] == ["FAILED"]


def test_run_that_cannot_be_written_is_reported_in_one_line(store: Store) -> None:
    line = r"^tracking.uri=sqlite:[^\n]*mlflow.db: run \w+ could not be closed[^\n]*$"
    with pytest.raises(ConfigError, match=line), open_run(store) as run:
        store.client.delete_run(run.id)
    run = open_run(store)
    store.client.delete_run(run.id)
    with pytest.raises(ZeroDivisionError):  # the error of the run is raised, not that of closing
        raise_in_run(run, ZeroDivisionError())


def test_a_run_with_lost_metrics_is_not_finished(store: Store) -> None:
    with pytest.raises(ConfigError, match="could not be closed"), open_run(store) as run:
        run.log_metrics({"not allowed: \x00": 1.0})
    assert store.client.get_run(run.id).info.status == "FAILED"


@pytest.mark.slow
def test_a_deferred_signal_is_not_lost_after_an_error() -> None:
    def lose_the_store() -> None:
        with stoppable(), defer_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            raise OSError("the store has gone")

    with pytest.raises(Stopped):
        lose_the_store()


@pytest.mark.slow
def test_signals_at_any_moment_leave_no_run_open(store: Store) -> None:
    for tenths in range(0, 60, 3):  # opening takes about 3 ms or more, closing likewise
        caught = False
        done = threading.Event()

        def send_signals(after: float = tenths / 1000, done: threading.Event = done) -> None:
            time.sleep(after)
            for _ in range(3):
                if not done.wait(0.002):
                    os.kill(os.getpid(), signal.SIGTERM)

        thread = threading.Thread(target=send_signals)
        try:
            with stoppable():
                thread.start()
                try:
                    with open_run(store, delay=tenths) as run:
                        run.log_metrics({"m": 1.0})
                        time.sleep(0.01)
                finally:
                    try:
                        done.set()
                        thread.join()
                    except Stopped:
                        thread.join()
        except Stopped:
            caught = True
        assert caught or tenths
    ended = queries.runs(store)
    assert {r.status for r in ended} <= {"FINISHED", "KILLED"}
    assert "KILLED" in {r.status for r in ended}


def sleep_in_a_run(uri: str) -> None:
    """Open a run, print its id, and sleep."""
    with TrackedRun.open(open_store(uri, "exp"), name="victim", tags={}, params={}) as run:
        print(run.id, flush=True)
        time.sleep(60)


@pytest.mark.slow
def test_run_of_a_killed_process_is_marked_killed_and_a_live_one_is_not(store: Store) -> None:
    process = Process(sleep_in_a_run, store.uri)
    run_id = process.stdout.readline().strip()
    with open_run(store) as own_run:
        assert queries.mark_dead_runs_killed(store) == []
        process.kill()
        process.wait()
        assert store.client.get_run(run_id).info.status == "RUNNING"
        assert queries.mark_dead_runs_killed(store) == [run_id]
        assert store.client.get_run(own_run.id).info.status == "RUNNING"
    assert store.client.get_run(run_id).info.status == "KILLED"
    assert queries.mark_dead_runs_killed(store) == []
