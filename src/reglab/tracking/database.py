"""Connections to a database for MLflow: without retries, with waits of a few seconds, optionally read-only."""

import atexit
import logging
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from sqlalchemy import event, inspect
from sqlalchemy.exc import SQLAlchemyError

from reglab.compat import mlflow
from reglab.deadlines import waiting
from reglab.filesystem import draft_folder
from reglab.tracking.location import StoreLocation, escape_path

_LOCAL_DISKS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "tmpfs", "apfs", "hfs")
_BUSY_MS = 2000  # SQLite waits in C code, which delays signals: `reglab.tracking.client` calls again
_BUSY_STATEMENT = "PRAGMA busy_timeout"  # MLflow sets 20 s by it


def connect(location: StoreLocation, *, writes: bool = True) -> str:
    """Connect to a database once, so that MLflow uses these connections.

    Args:
        location: a database, which exists.
        writes: without, a SQLite database is opened read-only: no table, file or folder is made.

    Returns:
        The tracking URI for MLflow: another one for read-only connections.

    Raises:
        SQLAlchemyError: it does not answer, is not a database, or refuses the connection.
    """
    path = location.database
    read_only = path is not None and not writes
    uri = _alternative_uri(location.uri) if read_only else location.uri
    if mlflow.engine(uri) is not None:
        return uri
    engine = mlflow.new_engine(uri)
    if path is not None:
        event.listen(engine, "before_cursor_execute", _shorten_waits, retval=True)
    if read_only:
        assert path is not None
        readable = _readable_uri(path)
        event.listen(engine, "do_connect", lambda dialect, _record, _args, options: _open(dialect, readable, options))
    try:
        with waiting(f"waiting for the database {location.display_uri} ..."), engine.connect():
            pass
    except SQLAlchemyError:
        engine.dispose()
        raise
    mlflow.set_engine(uri, engine)
    return uri


def has_tables(uri: str) -> bool:
    """Return whether the database of a URI returned by `connect` has MLflow's tables."""
    return inspect(mlflow.engine(uri)).has_table("experiments")


def has_content(path: Path) -> bool:
    """Return whether a SQLite database has content; an empty file has none."""
    return any(_size(Path(f"{path}{suffix}")) for suffix in ("", "-wal"))


def create(path: Path, artifact_root: str) -> None:
    """Create a SQLite database with MLflow's tables, under a temporary name first.

    MLflow could not open a database with some of its tables, which a killed process would leave.
    """
    with draft_folder(path) as folder:
        draft = folder / path.name
        _use_write_ahead_log(draft)
        store = mlflow.sql_store(f"sqlite:///{escape_path(draft)}", artifact_root)
        store.engine.dispose()  # the last connection moves the log into the file
        os.replace(draft, path)


def reduce_logging() -> None:
    """Silence the log messages of MLflow and Alembic on creating a schema, and on errors, which the caller reports."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _use_write_ahead_log(database: Path) -> None:
    """Enable write-ahead logging for a new database on a local disk: it halves the time, and readers never wait.

    It needs shared memory between its users, which network and some container mounts do not have.
    """
    mounts = (p for p in psutil.disk_partitions(all=True) if database.is_relative_to(p.mountpoint))
    mount = max(mounts, key=lambda p: len(p.mountpoint), default=None)
    if mount is not None and mount.fstype in _LOCAL_DISKS:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def _alternative_uri(uri: str) -> str:
    """Return an equivalent URI: MLflow keeps connections by URI, and one process may need both kinds."""
    scheme, _, rest = uri.partition(":")
    return f"sqlite:{rest}" if "+" in scheme else f"sqlite+pysqlite:{rest}"


def _shorten_waits(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> tuple[str, Any]:
    if statement.startswith(_BUSY_STATEMENT):
        statement = f"{_BUSY_STATEMENT} = {_BUSY_MS};"
    return statement, parameters


def _open(dialect: Any, readable: str, options: dict[str, Any]) -> Any:
    return dialect.loaded_dbapi.connect(readable, **{**options, "uri": True})


def _readable_uri(path: Path) -> str:
    """Return the SQLite URI that reads a database without a write to its folder.

    With a write-ahead log SQLite needs a file of shared memory beside the database. Where that cannot be made, a
    database without log entries is read as immutable, and one that a process left with entries is copied first.
    """
    for mode in ("mode=ro", "immutable=1"):
        if mode == "immutable=1" and _size(path.with_name(f"{path.name}-wal")):
            break
        uri = f"file:{quote(str(path))}?{mode}"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_MS / 1000)) as connection:
            try:
                connection.execute("SELECT count(*) FROM sqlite_master")
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
                    return uri  # MLflow's own query reports the error
            else:
                return uri
    folder = Path(tempfile.mkdtemp(prefix="reglab-read-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", folder / f"{path.name}{suffix}")
    return f"file:{quote(str(folder / path.name))}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
