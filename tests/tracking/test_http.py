"""The same over a real `mlflow server`, where artifacts travel through HTTP."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reglab.errors import ConfigError
from reglab.tracking import parent, queries
from reglab.tracking.link import run_link
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store, open_store
from tests.conftest import fresh_store
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


def fail(run: TrackedRun) -> None:
    with run:
        run.log_metrics({"m": 1.0}, 3)
        raise RuntimeError("as asked")


def test_run_over_http(remote: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with TrackedRun.open(remote, name="far", tags={"config_hash": "h"}, params={"seed": 1}) as run:
        run.log_metrics({"val/loss": 0.5}, 2)
        run.log_text("seed: 1\n", "config.yaml")
        with run.folder("weights") as weights:
            (weights / "best.safetensors").write_bytes(b"w")
    assert capfd.readouterr().out == ""  # MLflow prints links of its own otherwise
    found = queries.finished(remote, ["h", "other"])["h"]
    assert (found.run_id, found.params, found.metrics) == (run.id, {"seed": "1"}, {"val/loss": 0.5})
    assert queries.history(remote.client, run.id, "val/loss") == [(2, 0.5)]
    root = Path(remote.client.download_artifacts(run.id, "", str(tmp_path)))
    for path in ("config.yaml", "weights/best.safetensors"):
        assert (root / path).is_file()
    assert run_link(remote, run.id) == f"{remote.uri}/#/experiments/{remote.experiment_id}/runs/{run.id}"


def test_failed_run_over_http(remote: Store) -> None:
    run = TrackedRun.open(remote, name="bad", tags={}, params={})
    with pytest.raises(RuntimeError, match="as asked"):
        fail(run)
    seen = remote.client.get_run(run.id)
    assert (seen.info.status, seen.data.metrics) == ("FAILED", {"m": 1.0})
    assert [f.path for f in remote.client.list_artifacts(run.id)] == ["error.txt"]


def test_parent_over_http_is_entered_again(remote: Store) -> None:
    first = parent.enter(remote, "sweep", [{"config_hash": "a", "setting": "s"}])
    parent.close(remote, first, "FINISHED")
    assert parent.enter(remote, "sweep", [{"config_hash": "b", "setting": "s"}]) == first
    assert [job["config_hash"] for job in parent.declared(remote, first)] == ["a", "b"]


def test_deleted_experiment_over_http(remote: Store) -> None:
    remote.client.delete_experiment(remote.client.create_experiment("gone"))
    with pytest.raises(ConfigError, match="gone: was deleted"):
        open_store(remote.uri, "gone")


def test_lost_server_is_said_in_one_line(
    server: tuple[str, subprocess.Popen[bytes]], remote: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test of the file: it ends the server."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = TrackedRun.open(remote, name="lost", tags={}, params={})
    end(server[1])
    run._buffer._due = 0.0
    run.log_metrics({"m": 1.0})  # does not stop the training
    with pytest.raises(ConfigError, match=rf"^tracking.uri={remote.uri}: run {run.id} could not be closed[^\n]*$"):
        run.__exit__(None, None, None)
    with pytest.raises(ConfigError, match="unreachable"):
        open_store(remote.uri, "another")
