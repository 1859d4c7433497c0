"""Tracking through an `mlflow server`, which receives artifacts over HTTP."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow.pyfunc
import psutil
import pytest
import torch
from mlflow.exceptions import MlflowException
from torch import nn

from reglab import deadlines
from reglab.cli import report_error
from reglab.schema.errors import ConfigError, StoreLost
from reglab.stopping import end_at_second_signal, stoppable
from reglab.tracking import artifacts, mlflow_models, parent, queries, run
from reglab.tracking.location import resolve
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store, open_store
from reglab.tracking.view import run_link
from tests.conftest import fresh_store
from tests.errors import config_error
from tests.processes import Process
from tests.tracking.servers import end, free_port, start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    folder = tmp_path_factory.mktemp("server")
    address, process = start(folder, fresh_store(empty_database, folder), free_port())
    yield address, process
    end(process)


@pytest.fixture
def remote(server: tuple[str, subprocess.Popen[bytes]]) -> Store:
    return open_store(server[0], "over-http")


def fail_in_run(run: TrackedRun) -> None:
    with run:
        run.log_metrics({"m": 1.0}, 3)
        raise RuntimeError("as asked")


def test_run_over_http(remote: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with TrackedRun.open(remote, name="far", tags={"config_hash": "h"}, params={"seed": 1}) as run:
        run.log_metrics({"val/loss": 0.5}, 2)
        run.log_text("seed: 1\n", "config.yaml")
        with run.folder("weights") as weights:
            (weights / "best.safetensors").write_bytes(b"w")
    assert capfd.readouterr().out == ""  # no links printed by MLflow
    record = queries.finished(remote, ["h", "other"])["h"]
    assert (record.run_id, record.params, record.metrics) == (run.id, {"seed": "1"}, {"val/loss": 0.5})
    assert queries.history(remote.client, run.id, "val/loss") == [(2, 0.5)]
    root = Path(remote.client.download_artifacts(run.id, "", str(tmp_path)))
    for path in ("config.yaml", "weights/best.safetensors"):
        assert (root / path).is_file()
    assert run_link(remote, run.id) == f"{remote.uri}/#/experiments/{remote.experiment_id}/runs/{run.id}"


@pytest.mark.parametrize("location", ["file://{}", "{}", "s3://bucket/{}", "mlflow-artifacts:/../x"])
def test_artifacts_outside_the_server_are_refused(remote: Store, tmp_path: Path, location: str) -> None:
    folder = tmp_path / "home"
    experiment = remote.client.create_experiment(f"planted {location}", location.format(folder))
    planted = open_store(remote.uri, f"planted {location}")  # reading is allowed
    with config_error(f"tracking.uri={remote.uri}: artifacts ... --serve-artifacts"):
        TrackedRun.open(planted, name="x", tags={}, params={})
    with pytest.raises(ConfigError, match="the server does not serve its artifacts"):
        parent.open_parent(planted, "a sweep", [])
    assert queries.runs(planted) == []
    run_id = planted.client.create_run(experiment).info.run_id
    with pytest.raises(ConfigError, match="the server does not serve its artifacts"):
        artifacts.of_run(planted, run_id).read_text("config.yaml")
    assert not folder.exists()


def test_failed_run_over_http(remote: Store) -> None:
    run = TrackedRun.open(remote, name="bad", tags={}, params={})
    with pytest.raises(RuntimeError, match="as asked"):
        fail_in_run(run)
    mlflow_run = remote.client.get_run(run.id)
    assert (mlflow_run.info.status, mlflow_run.data.metrics) == ("FAILED", {"m": 1.0})
    assert [f.path for f in remote.client.list_artifacts(run.id)] == ["error.txt"]


def test_parent_over_http_is_reopened(remote: Store) -> None:
    first = parent.open_parent(remote, "sweep", [{"config_hash": "a", "setting": "s"}])
    parent.close_parent(remote, first, "FINISHED")
    assert parent.open_parent(remote, "sweep", [{"config_hash": "b", "setting": "s"}]) == first
    assert [job["config_hash"] for job in parent.declared(remote, first)] == ["a", "b"]


def test_deleted_experiment_over_http(remote: Store) -> None:
    remote.client.delete_experiment(remote.client.create_experiment("gone"))
    with pytest.raises(ConfigError, match="gone: was deleted"):
        open_store(remote.uri, "gone")


def test_a_model_over_http(remote: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TrackedRun.open(remote, name="modelled", tags={}, params={"seed": 1}) as run:
        pass
    record = queries.run(remote, run.id)
    inputs = torch.randn(2, 3)
    program = torch.export.export(nn.Linear(3, 2), (inputs,), dynamic_shapes=({0: torch.export.Dim("rows", min=2)},))
    program.example_inputs = None
    mlflow_models.save_graph(tmp_path / "model", program, inputs.numpy(), inputs[:, :2].numpy(), {"answers": "two"})
    assert mlflow_models.find(remote, run.id, "w") is None
    model_id = mlflow_models.log(remote, record, tmp_path / "model", {mlflow_models.WEIGHTS: "w"})
    assert mlflow_models.find(remote, run.id, "w") == model_id
    assert mlflow_models.find(remote, run.id, "v") is None
    assert [mlflow_models.register(remote, run.id, model_id, "far", "two") for _ in range(2)] == [1, 1]
    versions = json.loads(remote.client.get_logged_model(model_id).tags["mlflow.modelVersions"])
    assert [(version["name"], str(version["version"])) for version in versions] == [("far", "1")]
    assert queries.run(remote, run.id) == record
    monkeypatch.setenv("MLFLOW_TRACKING_URI", remote.uri)
    assert mlflow.pyfunc.load_model("models:/far/1").predict(inputs.numpy()).shape == (2, 2)


def train_until_signal(uri: str) -> None:
    """Open a run, print its id, and sleep until a signal; a second signal ends the process immediately."""
    end_at_second_signal()
    store = open_store(uri, "over-http")
    with stoppable(), TrackedRun.open(store, name="busy", tags={}, params={}) as run:
        print(run.id, flush=True)
        while True:
            time.sleep(0.1)


def test_processes_end_while_the_server_hangs(server: tuple[str, subprocess.Popen[bytes]], remote: Store) -> None:
    processes = [Process(train_until_signal, remote.uri) for _ in range(2)]
    runs = [process.stdout.readline().strip() for process in processes]
    group = [psutil.Process(server[1].pid), *psutil.Process(server[1].pid).children(recursive=True)]
    for member in group:
        member.suspend()
    try:
        began = time.monotonic()
        for process in processes:
            process.terminate()
        time.sleep(1.3)
        processes[1].terminate()
        assert processes[1].wait(10) == 128 + signal.SIGTERM  # immediately, by the second signal
        processes[0].wait(30)
        assert time.monotonic() - began < run.CLOSE_S + 8
    finally:
        for member in group:
            member.resume()
    assert {remote.client.get_run(run).info.status for run in runs} <= {"RUNNING", "KILLED"}
    queries.mark_dead_runs_killed(remote)
    assert {remote.client.get_run(run).info.status for run in runs} == {"KILLED"}


def test_a_call_to_a_server_that_hangs_fails_with_a_message(
    server: tuple[str, subprocess.Popen[bytes]],
    remote: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(deadlines, "_written", {})
    group = [psutil.Process(server[1].pid), *psutil.Process(server[1].pid).children(recursive=True)]
    for member in group:
        member.suspend()
    try:
        with pytest.raises(StoreLost):
            remote.client.search_experiments()
        assert capsys.readouterr().err == f"waiting for the tracking store {remote.uri} ...\n"
        with pytest.raises(ConfigError, match="no answer within 1 s"):
            resolve(remote.uri)
    finally:
        for member in group:
            member.resume()


def test_lost_server_is_reported_in_one_line(
    server: tuple[str, subprocess.Popen[bytes]],
    remote: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Last test of the file, since it stops the server."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    finished, failed, stopped = (TrackedRun.open(remote, name="lost", tags={}, params={}) for _ in range(3))
    end(server[1])
    finished._buffer._due = 0.0
    finished.log_metrics({"m": 1.0})  # does not stop the training
    expected = rf"^tracking.uri={remote.uri}: unreachable \([^\n]+\); start the server[^\n]*$"
    with pytest.raises(StoreLost, match=expected):
        finished.__exit__(None, None, None)
    with pytest.raises(StoreLost, match=expected) as lost, failed:
        failed.log_text("weights", "weights.txt")
    assert isinstance(lost.value.__cause__, MlflowException)
    lost.value.run_id = failed.id  # type: ignore[attr-defined]
    assert report_error(lost.value, [], "train") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"; run {failed.id} was not closed: the next start closes it")
    assert not [record for record in caplog.records if record.name.startswith("reglab")]
    with pytest.raises(KeyboardInterrupt), stopped:
        raise KeyboardInterrupt
    (warning,) = [record.getMessage() for record in caplog.records if record.name.startswith("reglab")]
    assert re.match(rf"run {stopped.id} could not be closed properly: {expected[1:-1]}$", warning)
    with pytest.raises(ConfigError, match="unreachable"):
        open_store(remote.uri, "another")
