"""Opens a tracking store: database and experiment are made once, however many processes start at the same moment."""

import logging
import os
import shlex
import sqlite3
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import psutil
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, RunInfo
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from reglab.drafts import draft_folder
from reglab.schema.errors import ConfigError, Setting
from reglab.tracking import database
from reglab.tracking.client import client_of, patiently
from reglab.tracking.locks import locked
from reglab.tracking.uri import Place, check, local_folder, locate
from reglab.wording import mlflow_command

_LOCAL_DISKS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "tmpfs", "apfs", "hfs")
_MAKING_S = 20.0  # to import MLflow's store and make its tables takes seconds
_LONGEST = 250  # of an experiment: what every database keeps
_opened: dict[tuple[str, str, bool], "Store"] = {}


class NothingTracked(ConfigError):
    """A database without MLflow's tables, where something was to be read."""


@dataclass(frozen=True)
class Store:
    """One experiment of a tracking store, ready to be written.

    Args:
        client: MLflow's client for `uri`.
        experiment_id: MLflow's id of `experiment`.
        experiment: its name.
        uri: tracking URI (absolute).
        read_only: nothing can be written.
        artifact_location: where the experiment's runs keep their files.
    """

    client: MlflowClient
    experiment_id: str
    experiment: str
    uri: str
    read_only: bool = False
    artifact_location: str = ""

    @property
    def place(self) -> Place:
        """Where it is."""
        return locate(self.uri)

    def create_run(self, tags: dict[str, str], name: str) -> RunInfo:
        """Open a run in the experiment.

        Raises:
            ConfigError: its files would be kept outside the store, see `uri.local_folder`.
        """
        local_folder(self.place, self.artifact_location)
        return self.client.create_run(self.experiment_id, tags=tags, run_name=name).info

    def lock(self) -> AbstractContextManager[None]:
        """Held by one process at a time (re-entrant within it), see `locks.locked`; for looking before making."""
        return locked(self.place)

    def model_lock(self) -> AbstractContextManager[None]:
        """The same for models, whose making takes as long as it takes: no run waits for it."""
        return locked(self.place, ".models", timeout=-1)


def open_store(uri: str | None, experiment: str, *, writes: bool = True) -> Store:
    """The store at `uri` (see `uri.resolve`) with `experiment` made where it is missing; cached per process.

    Args:
        uri: as the user gave it.
        experiment: its experiment.
        writes: without, the experiment must be there, and nothing is made: a read-only store will do.

    Raises:
        ConfigError: the place cannot be used, or the experiment was deleted.
    """
    place = locate(uri)
    key = (place.uri, experiment, writes)
    if key not in _opened:
        if len(experiment) > _LONGEST:
            raise ConfigError(
                Setting("tracking.experiment", f"{experiment[:40]}..."),
                f"has {len(experiment)} characters",
                f"give at most {_LONGEST}",
            )
        check(place, writes=writes)
        _quiet()
        try:
            with locked(place) if place.is_database and writes else nullcontext():
                _opened[key] = patiently(place, _open, place, experiment, writes, limit=None, after=_MAKING_S)
        except (MlflowException, SQLAlchemyError, ImportError, OSError) as error:
            raise place.error(_reason(place, error)) from error
    return _opened[key]


def connected(place: Place) -> MlflowClient:
    """MLflow's client for a store that exists, for reading only.

    Raises:
        ConfigError: it cannot be read.
    """
    _quiet()
    try:
        return patiently(place, _reader, place, limit=None, after=_MAKING_S)
    except (MlflowException, SQLAlchemyError, ImportError, OSError) as error:
        raise place.error(_reason(place, error)) from error


def _reader(place: Place) -> MlflowClient:
    if not place.is_database:
        return client_of(place)
    uri = database.connect(place, writes=False)
    if not database.has_tables(uri):  # MLflow would make them
        raise NothingTracked(str(place.error("has no tables of MLflow, so nothing was tracked there yet")))
    return client_of(place, uri)


def _open(place: Place, experiment: str, writes: bool) -> Store:
    if not writes:
        client = _reader(place)
        found = client.get_experiment_by_name(experiment)
        if found is None:
            raise ConfigError(Setting("tracking.experiment", experiment), "no such experiment")
    elif not place.is_database:
        client = client_of(place)
        found = client.get_experiment_by_name(experiment) or _create(client, experiment)
    else:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        assert place.artifact_root is not None
        if place.database and not _holds_something(place.database):
            _make(place.database, place.artifact_root)
        database.connect(place)
        # Made with its artifact root, which MlflowClient cannot be told: its own would depend on the working directory.
        tables = SqlAlchemyStore(place.uri, place.artifact_root)
        client = client_of(place)
        found = client.get_experiment_by_name(experiment) or tables.get_experiment(tables.create_experiment(experiment))
    if found.lifecycle_stage != LifecycleStage.ACTIVE:
        raise ConfigError(
            Setting("tracking.experiment", experiment),
            "was deleted",
            "choose another name or restore it: "
            f"{mlflow_command(place.uri, 'experiments', 'restore', '--experiment-id', found.experiment_id)}",
        )
    return Store(client, found.experiment_id, experiment, place.uri, not writes, found.artifact_location)


def _holds_something(path: Path) -> bool:
    """Whether a sqlite database is there; an empty file is none."""
    return any(Path(f"{path}{suffix}").exists() and os.path.getsize(f"{path}{suffix}") for suffix in ("", "-wal"))


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


def _make(path: Path, artifact_root: str) -> None:
    """A new database is made aside and moved to its place whole: MLflow could not open what a kill leaves half made."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with draft_folder(path) as folder:
        draft = folder / path.name
        _write_ahead(draft)
        store = SqlAlchemyStore(f"sqlite:///{str(draft).replace('%', '%25').replace('?', '%3F')}", artifact_root)
        store.engine.dispose()  # the last connection takes the log into the file
        os.replace(draft, path)


def _write_ahead(database: Path) -> None:
    """A new database on a local disk gets a write-ahead log: half the time a run, and readers never wait for writers.

    It needs shared memory between its users, which network and some container mounts do not have.
    """
    mounts = (p for p in psutil.disk_partitions(all=True) if database.is_relative_to(p.mountpoint))
    mount = max(mounts, key=lambda p: len(p.mountpoint), default=None)
    if mount is not None and mount.fstype in _LOCAL_DISKS:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def _quiet() -> None:
    """Making a schema is no news, and a database error is told once, by who catches it."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _reason(place: Place, error: Exception) -> str:
    error = getattr(error, "orig", None) or error
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if "database schema" in line or "locate revision" in line:
        return f"was made by another version of MLflow; back it up, then: mlflow db upgrade {shlex.quote(place.shown)}"
    if isinstance(error, ImportError):
        return f"its driver is not installed ({line})"
    remedy = "move the file away, or name another" if place.database else "check the address"
    return f"cannot be opened ({line[:300]}); {remedy}"
