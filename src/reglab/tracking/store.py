"""Opens a tracking store: database and experiment are made once, however many processes start at the same moment."""

import hashlib
import logging
import os
import sqlite3
import tempfile
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import BaseFileLock, FileLock
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from reglab.errors import ConfigError
from reglab.tracking.uri import Place, check, locate

# A database under way for longer than this is not being created, but stuck.
_LOCK_TIMEOUT_S = 120
_LOCAL_DISKS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "tmpfs", "apfs", "hfs")
_opened: dict[tuple[str, str], "Store"] = {}


@dataclass(frozen=True)
class Store:
    """One experiment of a tracking store, ready to be written.

    Args:
        client: MLflow's client for `uri`.
        experiment_id: MLflow's id of `experiment`.
        experiment: its name.
        uri: tracking URI (absolute).
    """

    client: MlflowClient
    experiment_id: str
    experiment: str
    uri: str

    def lock(self) -> BaseFileLock:
        """Held by one process of this host at a time (re-entrant within it); for looking before making."""
        return _lock(self.uri, Place(self.uri, None).database)

    def model_lock(self) -> BaseFileLock:
        """The same for models, whose making takes as long as it takes: no run waits for it."""
        return _lock(self.uri, Place(self.uri, None).database, ".models", timeout=-1)


def open_store(uri: str | None, experiment: str) -> Store:
    """The store at `uri` (see `uri.resolve`) with `experiment` made where it is missing; cached per process.

    Raises:
        ConfigError: the place cannot be used, or the experiment was deleted.
    """
    place = locate(uri)
    key = (place.uri, experiment)
    if key not in _opened:
        check(place)
        _quiet()
        try:
            with _lock(place.uri, place.database) if place.database else nullcontext():
                _opened[key] = _open(place, experiment)
        except (MlflowException, SQLAlchemyError, ImportError, TimeoutError) as error:
            raise place.error(_reason(place, error)) from error
    return _opened[key]


def _open(place: Place, experiment: str) -> Store:
    if place.artifact_root is None:
        client = MlflowClient(place.uri)
        found = client.get_experiment_by_name(experiment) or _create(client, experiment)
    else:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        if place.database and not place.database.exists():
            _make(place.database, place.artifact_root)
        # Made with its artifact root, which MlflowClient cannot be told: its own would depend on the working directory.
        database = SqlAlchemyStore(place.uri, place.artifact_root)
        client = MlflowClient(place.uri)
        found = client.get_experiment_by_name(experiment) or database.get_experiment(
            database.create_experiment(experiment)
        )
    if found.lifecycle_stage != LifecycleStage.ACTIVE:
        raise ConfigError(
            f"tracking.experiment={experiment}: was deleted; choose another name or restore it: "
            f"MLFLOW_TRACKING_URI={place.uri} mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    return Store(client, found.experiment_id, experiment, place.uri)


def _create(client: MlflowClient, experiment: str) -> Experiment:
    try:
        return client.get_experiment(client.create_experiment(experiment))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        found = client.get_experiment_by_name(experiment)  # another host was faster
        if found is None:
            raise
        return found


def _make(database: Path, artifact_root: str) -> None:
    """A new database is made aside and moved to its place whole: MLflow could not open what a kill leaves half made."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with tempfile.TemporaryDirectory(prefix=f".{database.name}-", dir=database.parent) as folder:
        draft = Path(folder, database.name)
        _write_ahead(draft)
        store = SqlAlchemyStore(f"sqlite:///{draft}", artifact_root)
        store._dispose_engine()  # the last connection takes the log into the file
        os.replace(draft, database)


def _write_ahead(database: Path) -> None:
    """A new database on a local disk gets a write-ahead log: half the time a run, and readers never wait for writers.

    It needs shared memory between its users, which network and some container mounts do not have.
    """
    mounts = (p for p in psutil.disk_partitions(all=True) if database.is_relative_to(p.mountpoint))
    mount = max(mounts, key=lambda p: len(p.mountpoint), default=None)
    if mount is not None and mount.fstype in _LOCAL_DISKS:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def _lock(uri: str, database: Path | None, of: str = "", timeout: float = _LOCK_TIMEOUT_S) -> BaseFileLock:
    if database is not None:
        path = database.with_name(f"{database.name}{of}.lock")
    else:
        name = hashlib.sha256(f"{os.getuid()} {uri}".encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir(), f"reglab-{name}{of}.lock")
    return FileLock(path, timeout=timeout, is_singleton=True)


def _quiet() -> None:
    """Making a schema is no news, and a database error is told once, by who catches it."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _reason(place: Place, error: Exception) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if "database schema" in line or "locate revision" in line:
        return f"was made by another version of MLflow; back it up, then run: mlflow db upgrade {place.uri}"
    if isinstance(error, ImportError):
        return f"its driver is not installed ({line})"
    if isinstance(error, TimeoutError):
        return (
            f"locked by another process for {_LOCK_TIMEOUT_S} s; end it, or delete the .lock file beside the database"
        )
    remedy = "move the file away, or name another" if place.database else "check the address"
    return f"cannot be opened ({line[:300]}); {remedy}"
