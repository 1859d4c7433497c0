"""Private and undocumented parts of MLflow."""

import functools
from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient
from mlflow.store.entities import PagedList  # noqa: F401  # what MlflowClient.search_runs returns
from mlflow.utils import rest_utils
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS  # noqa: F401  # a logged model's versions in the registry
from requests import Response
from sqlalchemy import Engine


def add_response_hook(hook: Callable[..., Response | None]) -> None:
    """Call a function with each response of a tracking server before MLflow reads its body.

    All requests of MLflow's REST client go through one function, which forwards unknown options to requests.
    MLflow has no setting for its sessions.

    Args:
        hook: a response hook of requests, called with the response and the options of its request.
    """
    rest_utils._get_http_response_with_retries = functools.partial(
        rest_utils._get_http_response_with_retries, hooks={"response": hook}
    )


def sql_store(uri: str, artifact_root: str) -> Any:
    """Return MLflow's store for a database, and create or check its tables.

    `MlflowClient` has no argument for the artifact root, and its default depends on the working directory.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # slow to import, and not needed for a server

    remember_schema_revision()
    return SqlAlchemyStore(uri, artifact_root)


@functools.cache
def remember_schema_revision() -> None:
    """Let MLflow find the newest revision of its tables once per process.

    For each store it opens it would execute some 70 files of migrations again: half of the time of opening a store.
    """
    from mlflow.store.db import utils

    utils._get_latest_schema_revision = functools.cache(utils._get_latest_schema_revision)


def new_engine(uri: str) -> Engine:
    """Return an engine with MLflow's options for a database (pool, SSL, ``MLFLOW_SQLALCHEMYSTORE_*``)."""
    from mlflow.store.db.utils import create_sqlalchemy_engine  # slow to import, and not needed for a server

    return create_sqlalchemy_engine(uri)


def metric_rows() -> Any:
    """Return the ORM class of the table of metrics; see `session_maker`."""
    from mlflow.store.tracking.dbmodels.models import SqlMetric

    return SqlMetric


def engine(uri: str) -> Engine | None:
    """Return the engine that MLflow's stores of this process use for a database; None if they have none yet."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # not needed for a server, and slow to import

    with SqlAlchemyStore._engine_map_lock:
        return SqlAlchemyStore._engine_map.get(uri)


def set_engine(uri: str, engine: Engine) -> None:
    """Let MLflow's stores of this process use an engine for a database, unless they have one already.

    MLflow's own start tries to connect ten times, which takes 105 s, and can neither open a database read-only nor
    limit how long SQLite waits for a lock.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with SqlAlchemyStore._engine_map_lock:
        SqlAlchemyStore._engine_map.setdefault(uri, engine)


def session_maker(client: MlflowClient) -> Callable[[], Any] | None:
    """Return the SQLAlchemy session factory of the client's database; None for a server.

    With a session thousands of metric values are one query; MLflow's public calls make three objects of each value.
    """
    store = getattr(getattr(client, "_tracking_client", None), "store", None)
    maker: Callable[[], Any] | None = getattr(store, "ManagedSessionMaker", None)
    return maker


def is_schema_mismatch(error: Exception) -> bool:
    """Return whether a database cannot be opened because another version of MLflow made its tables.

    MLflow's error has the code of any other problem, and Alembic's is about an unknown revision;
    only their first lines differ from other errors.
    """
    line = str(error).strip().partition("\n")[0]
    return "database schema" in line or "locate revision" in line
