"""Locks of a store, for one process at a time: a file beside a SQLite database, an advisory lock inside PostgreSQL."""

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from reglab.deadlines import ANNOUNCE_S, waiting
from reglab.schema.errors import StoreLost
from reglab.tracking.client import locked_error, with_retries
from reglab.tracking.liveness import lock_holder
from reglab.tracking.location import StoreLocation

LOCK_S = 120.0  # seconds; no regular holder of the lock takes longer
_POLL_S = 0.1
_CONNECT_S = 15.0  # a database server that does not answer, as one that hangs
_held: dict[tuple[str, str], tuple[Connection, int]] = {}  # advisory locks of this process, and how often
_process_lock = threading.RLock()


@contextmanager
def locked(location: StoreLocation, lock_name: str = "", *, timeout: float = LOCK_S) -> Iterator[None]:
    """Hold the store's lock inside the block; re-entrant within a process.

    In PostgreSQL it is a session-level advisory lock for all hosts, released when the process ends; it needs session
    pooling behind PgBouncer. For SQLite it is a file beside the database. For servers and other databases it is a file
    on this host, which does not exclude processes of other hosts.

    Args:
        location: the store.
        lock_name: end of the name of the lock's file; empty: the store's main lock.
        timeout: seconds; -1: no limit.

    Raises:
        StoreLost: another process has held it for `timeout` seconds, or the database does not answer.
    """
    if location.is_postgresql:
        with _process_lock:
            _acquire_advisory_lock(location, lock_name, timeout)
            try:
                yield
            finally:
                _release_advisory_lock(location, lock_name)
        return
    path = lock_file(location, lock_name)
    lock = FileLock(path, timeout=timeout, is_singleton=True)
    try:
        with waiting(lambda: _wait_note(location, lock_holder(path))):
            lock.acquire()
    except Timeout as error:
        raise _lost(location, timeout, lock_holder(path)) from error
    try:
        yield
    finally:
        lock.release()


def lock_file(location: StoreLocation, lock_name: str = "") -> Path:
    """Return the lock file of a store."""
    if location.database is not None:
        return location.database.with_name(f"{location.database.name}{lock_name}.lock")
    name = hashlib.sha256(f"{os.getuid()} {location.uri}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"reglab-{name}{lock_name}.lock")


def _acquire_advisory_lock(location: StoreLocation, lock_name: str, timeout: float) -> None:
    key = (location.uri, lock_name)
    if key in _held:
        connection, depth = _held[key]
        _held[key] = (connection, depth + 1)
        return
    connect = create_engine(location.uri, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect
    connection = with_retries(location, connect, limit=_CONNECT_S)
    began, announced = time.monotonic(), False
    try:
        while not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _lock_key(lock_name)}).scalar():
            waited = time.monotonic() - began
            if 0 <= timeout <= waited:
                raise _lost(location, timeout, _describe_holder(connection, lock_name))
            if waited >= ANNOUNCE_S and not announced:
                announced = True
                with waiting(_wait_note(location, _describe_holder(connection, lock_name)), after=0.0):
                    time.sleep(0.5)
            time.sleep(_POLL_S)
    except BaseException:
        connection.close()
        raise
    _held[key] = (connection, 1)


def _release_advisory_lock(location: StoreLocation, lock_name: str) -> None:
    connection, depth = _held.pop((location.uri, lock_name))
    if depth > 1:
        _held[location.uri, lock_name] = (connection, depth - 1)
    else:
        connection.close()  # the lock ends with its session


def _lock_key(lock_name: str) -> int:
    """Return the lock's key, a signed 64-bit integer; PostgreSQL has separate locks for each database."""
    return int.from_bytes(hashlib.sha256(f"reglab{lock_name}".encode()).digest()[:8], signed=True)


def _describe_holder(connection: Connection, lock_name: str) -> str | None:
    high, low = divmod(_lock_key(lock_name) % 2**64, 2**32)
    query = (
        "SELECT a.pid, coalesce(host(a.client_addr), 'this host') FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = :high AND l.objid = :low "
        "AND a.datname = current_database()"
    )
    row = connection.execute(text(query), {"high": high, "low": low}).first()
    return f"the client of server process {row[0]} on {row[1]}" if row else None


def _wait_note(location: StoreLocation, holder: str | None) -> str:
    return f"waiting for another process that uses {location.display_uri}: {holder or 'unknown'} ..."


def _lost(location: StoreLocation, timeout: float, holder: str | None) -> StoreLost:
    return StoreLost(locked_error(location, timeout, f" ({holder})" if holder else ""))
