"""MLflow's client with retries: calls are repeated while the store is busy, with a time limit and a printed note."""

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, cast

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests import Response, TooManyRedirects
from sqlalchemy.exc import DatabaseError, OperationalError

from reglab.compat.mlflow import add_response_hook
from reglab.compat.requests import close_instead_of_draining, set_content
from reglab.deadlines import ANNOUNCE_S, Overdue, waiting
from reglab.schema.errors import StoreLost
from reglab.tracking.liveness import lock_holder
from reglab.tracking.location import StoreLocation, location_error

BUSY_S = 120.0  # limit of the wait for a database that another process has locked
_RESTART_S = 12.0  # limit of the wait for a database server that restarts; MLflow repeats requests as long
_CALL_S = 120.0  # limit of one call, for a server that answers byte by byte
_PAUSE_S = 0.25
LARGEST_ANSWER = 2**28  # bytes of a response, except of files; a thousand runs with full tags have less
_CHUNK = 2**16
# Files take as long as their size needs. Each of their requests has a limit.
_FILES = ("log_artifact", "log_artifacts", "log_text", "log_model_artifacts", "download_artifacts")


class LargeAnswer(OSError):
    """A response of a server has more than `LARGEST_ANSWER` bytes."""


def _read_body(response: Response, *_args: Any, stream: bool = False, **_kwargs: Any) -> None:
    """Read the body of a response up to a limit; requests has none. Files are streamed."""
    if stream:
        return
    chunks, size = [], 0
    for chunk in response.iter_content(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_ANSWER:
            response.close()
            raise LargeAnswer(f"the server sends more than {LARGEST_ANSWER / 2**20:.0f} MiB in one response")
    set_content(response, b"".join(chunks))


add_response_hook(_read_body)
close_instead_of_draining()


def client_of(location: StoreLocation, tracking_uri: str | None = None) -> MlflowClient:
    """Return MLflow's client for a store; its calls raise as MLflow's do, and `StoreLost` (see `with_retries`).

    Args:
        location: the store.
        tracking_uri: the URI for MLflow, if it differs from `location.uri`.
    """
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # the caller reports the errors it catches
    return cast(MlflowClient, _RetryingClient(MlflowClient(tracking_uri or location.uri), location))


def without_retries(client: MlflowClient) -> MlflowClient:
    """Return the client without retries and messages, for calls that may be skipped."""
    return client._client if isinstance(client, _RetryingClient) else client


def display_uri(client: MlflowClient) -> str:
    """Return the URI of the client's store for messages, without its password."""
    return client._location.display_uri if isinstance(client, _RetryingClient) else "the store"


def query_with_retries(client: MlflowClient, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that queries the client's database directly, with the client's retries."""
    if not isinstance(client, _RetryingClient):
        return function(*args)
    return with_retries(client._location, function, *args, limit=None)


class _RetryingClient:
    """Wraps each method of MLflow's client in `with_retries`."""

    def __init__(self, client: MlflowClient, location: StoreLocation) -> None:
        self._client = client
        self._location = location

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if name.startswith("_") or not callable(attribute):
            return attribute
        limit = None if name in _FILES else _CALL_S
        return functools.partial(with_retries, self._location, attribute, limit=limit)


def with_retries(
    location: StoreLocation,
    function: Callable[..., Any],
    *args: Any,
    limit: float | None = _CALL_S,
    after: float = ANNOUNCE_S,
    **kwargs: Any,
) -> Any:
    """Call a function that queries the store; retry while the database is locked or its server restarts.

    Args:
        location: the store.
        function: called with the other arguments.
        limit: seconds for one call.
        after: seconds before the wait is announced.

    Raises:
        ConfigError: the sqlite database is damaged, or a server's response is too large or a redirect without end.
        StoreLost: another process has locked the database for `BUSY_S` seconds, or the store does not answer any more.
        MlflowException: as MLflow raises it.
    """
    began = time.monotonic()
    with waiting(
        lambda: f"waiting for the tracking store {location.display_uri}{_holder_note(location)} ...", after=after
    ):
        while True:
            overdue = Overdue(limit or 0.0)
            try:
                with waiting(limit=limit, error=overdue):
                    return function(*args, **kwargs)
            except Overdue as error:
                if error is not overdue:  # the limit of an enclosing block
                    raise
                raise StoreLost(location.error(str(error), "see its log")) from error
            except (MlflowException, DatabaseError) as error:
                if (damage := _damage(error)) is not None:
                    raise location.damaged_error(damage) from error
                if isinstance(error.__context__, LargeAnswer):
                    raise location.error(str(error.__context__), "check the address") from error
                if isinstance(error.__context__, TooManyRedirects):
                    raise location.error("the server redirects endlessly", "check the address") from error
                waited, retry_s = time.monotonic() - began, _retry_s(location, error)
                if waited >= retry_s:
                    if retry_s == BUSY_S:
                        raise StoreLost(locked_error(location, BUSY_S, _holder_note(location))) from error
                    if _unanswered(error) and (cause := location_error(location.uri)) is not None:
                        raise StoreLost(cause) from error
                    raise
                time.sleep(_PAUSE_S)


def locked_error(location: StoreLocation, seconds: float, holder: str) -> Exception:
    """Return the error for a store that another process has locked for some seconds; `holder` is a note on it."""
    return location.error(f"locked by another process for {seconds:.0f} s{holder}", "end that process")


def _damage(error: Exception) -> object:
    """Return SQLite's error if it reports a damaged database, None otherwise."""
    cause = error if isinstance(error, DatabaseError) else error.__cause__
    original = getattr(cause, "orig", None)
    return original if _sqlite_name(original).startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) else None


def _retry_s(location: StoreLocation, error: Exception) -> float:
    """Return the seconds for which a call that failed is repeated: its transaction was rolled back."""
    cause = error if isinstance(error, OperationalError) else error.__cause__
    if not isinstance(cause, OperationalError):
        return 0.0
    if location.database is None:
        return _RESTART_S
    return BUSY_S if _sqlite_name(cause.orig).startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) else 0.0


def _sqlite_name(error: object) -> str:
    return getattr(error, "sqlite_errorname", None) or ""


def _unanswered(error: Exception) -> bool:
    """Return whether the request itself failed, rather than its response."""
    return isinstance(error.__cause__ or error.__context__ or error, OSError | OperationalError)


def _holder_note(location: StoreLocation) -> str:
    if location.database is None:
        return ""
    holder = lock_holder(location.database) or lock_holder(location.database.with_name(f"{location.database.name}-shm"))
    return f" (locked by {holder})" if holder else ""
