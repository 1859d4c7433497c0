"""Each private part of MLflow exists and works as documented in `reglab.compat.mlflow`."""

import inspect
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from requests import Response
from sqlalchemy import create_engine, text

from reglab.compat import mlflow
from reglab.tracking.store import open_store


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server that answers each request with an empty JSON object."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET  # noqa: N815  # a name of http.server

        def log_message(self, *_: object) -> None:
            pass

    made = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()


@pytest.mark.slow
def test_each_response_of_a_server_goes_through_the_hook(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.utils import rest_utils

    seen: list[str] = []
    monkeypatch.setattr(rest_utils, "_get_http_response_with_retries", rest_utils._get_http_response_with_retries)

    def hook(response: Response, *_: object, **__: object) -> None:
        seen.append(response.url)

    mlflow.add_response_hook(hook)
    MlflowClient(server).search_experiments()
    MlflowClient(server).set_tag("run", "key", "value")
    assert [url.rpartition("/")[2].partition("?")[0] for url in seen] == ["search", "set-tag"]


@pytest.mark.slow
def test_the_store_keeps_the_artifact_root_and_metrics_can_be_queried(tmp_path: Path) -> None:
    uri, root = f"sqlite:///{tmp_path / 'mlflow.db'}", str(tmp_path / "artifacts")
    store = mlflow.sql_store(uri, root)
    experiment = store.get_experiment(store.create_experiment("one"))
    assert experiment.artifact_location.startswith(root)
    engine = mlflow.new_engine(uri)
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from experiments")).scalar() == 2  # with "Default"
    engine.dispose()
    client = MlflowClient(uri)
    run = client.create_run(experiment.experiment_id)
    client.log_metric(run.info.run_id, "loss", 0.5, step=3)
    client.set_tag(run.info.run_id, mlflow.MLFLOW_MODEL_VERSIONS, "[]")
    rows, sessions = mlflow.metric_rows(), mlflow.session_maker(client)
    assert sessions is not None
    with sessions() as session:
        columns = (rows.key, rows.run_uuid, rows.step, rows.value, rows.is_nan)
        assert session.query(*columns).all() == [("loss", run.info.run_id, 3, 0.5, False)]
    assert isinstance(client.search_runs([experiment.experiment_id]), mlflow.PagedList)


@pytest.mark.slow
def test_stores_use_the_engine_that_was_set(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    engine = create_engine(uri)
    assert mlflow.engine(uri) is None
    mlflow.set_engine(uri, engine)
    mlflow.set_engine(uri, create_engine(uri))  # the first one stays
    assert mlflow.engine(uri) is engine
    assert SqlAlchemyStore(uri, str(tmp_path)).engine is engine


@pytest.mark.slow
def test_a_session_of_the_database_of_a_client(store_uri: str) -> None:
    store = open_store(store_uri, "exp")
    sessions = mlflow.session_maker(store.client)
    assert sessions is not None
    with sessions() as session:
        names = session.execute(text("SELECT name FROM experiments")).scalars().all()
    assert store.experiment in names


@pytest.mark.slow
def test_a_server_has_no_sessions(server: str) -> None:
    assert mlflow.session_maker(MlflowClient(server)) is None


@pytest.mark.slow
def test_tables_of_another_version_are_recognized(tmp_path: Path, store_uri: str) -> None:
    uri = f"sqlite:///{tmp_path / 'old.db'}"
    SqlAlchemyStore(uri, str(tmp_path)).engine.dispose()
    other = create_engine(uri)
    with other.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0123456789ab'"))
    with pytest.raises(MlflowException) as caught:
        SqlAlchemyStore(uri, str(tmp_path))
    assert mlflow.is_schema_mismatch(caught.value)
    with pytest.raises(MlflowException) as caught:
        MlflowClient(store_uri).get_run("0" * 32)
    assert not mlflow.is_schema_mismatch(caught.value)


def test_the_newest_revision_of_the_tables_is_found_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mlflow.store.db import utils

    calls: list[str] = []
    find = inspect.unwrap(utils._get_latest_schema_revision)
    monkeypatch.setattr(utils, "_get_latest_schema_revision", lambda: calls.append("found") or find())
    mlflow.remember_schema_revision.cache_clear()
    for name in ("a", "b"):
        mlflow.sql_store(f"sqlite:///{tmp_path}/{name}.db", str(tmp_path))
    assert calls == ["found"]
