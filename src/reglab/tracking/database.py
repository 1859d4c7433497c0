"""Connections to a database for MLflow: they fail at once, wait for seconds, and can be read-only."""

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import event, inspect
from sqlalchemy.exc import SQLAlchemyError

from reglab.compat import mlflow
from reglab.deadlines import waiting
from reglab.tracking.uri import Place

_BUSY_MS = 2000  # sqlite waits in C code, where no signal is seen: `reglab.tracking.client` calls again
_MLFLOWS_BUSY = "PRAGMA busy_timeout"


def connect(place: Place, *, writes: bool = True) -> str:
    """Connect to a database once, so that MLflow uses these connections.

    Args:
        place: a database, which exists.
        writes: without, a sqlite database is opened read-only: no table, file or folder is made.

    Returns:
        the tracking URI that MLflow is to be given: another one for read-only connections.

    Raises:
        SQLAlchemyError: it does not answer, is no database, or refuses.
    """
    from mlflow.store.db.utils import create_sqlalchemy_engine

    path = place.database
    read_only = path is not None and not writes
    uri = _other_name(place.uri) if read_only else place.uri
    if mlflow.engine(uri) is not None:
        return uri
    engine = create_sqlalchemy_engine(uri)
    if path is not None:
        event.listen(engine, "before_cursor_execute", _short_waits, retval=True)
    if read_only:
        assert path is not None
        readable = _readable(path)
        event.listen(engine, "do_connect", lambda dialect, _record, _args, options: _open(dialect, readable, options))
    try:
        with waiting(f"waiting for the database {place.shown} ..."), engine.connect():
            pass
    except SQLAlchemyError:
        engine.dispose()
        raise
    mlflow.set_engine(uri, engine)
    return uri


def has_tables(uri: str) -> bool:
    """Whether the database of a URI returned by `connect` has MLflow's tables."""
    return inspect(mlflow.engine(uri)).has_table("experiments")


def _other_name(uri: str) -> str:
    """The same URI, with or without the driver's name: MLflow keeps connections by URI, one process may need both."""
    scheme, _, rest = uri.partition(":")
    return f"sqlite:{rest}" if "+" in scheme else f"sqlite+pysqlite:{rest}"


def _short_waits(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> tuple[str, Any]:
    if statement.startswith(_MLFLOWS_BUSY):
        statement = f"{_MLFLOWS_BUSY} = {_BUSY_MS};"
    return statement, parameters


def _open(dialect: Any, readable: str, options: dict[str, Any]) -> Any:
    return dialect.loaded_dbapi.connect(readable, **{**options, "uri": True})


def _readable(path: Path) -> str:
    """The sqlite URI that reads a database without a write to its folder.

    With a write-ahead log sqlite needs a file of shared memory beside the database. Where that cannot be made, a
    database without log entries is read as immutable, and one that a process left with entries is copied first.
    """
    for mode in ("mode=ro", "immutable=1"):
        if mode == "immutable=1" and _size(path.with_name(f"{path.name}-wal")):
            break
        uri = f"file:{quote(str(path))}?{mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_MS / 1000)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
                return uri  # MLflow's own query reports the error
        else:
            return uri
        finally:
            connection.close()
    folder = Path(tempfile.mkdtemp(prefix="reglab-read-"))
    import atexit

    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", folder / f"{path.name}{suffix}")
    return f"file:{quote(str(folder / path.name))}"


def _size(path: Path) -> int:
    return path.stat().st_size if os.path.exists(path) else 0
