"""A tracking store and one experiment of it, opened for reading or writing.

Database and experiment are created once, also if several processes start at the same time.
"""

import shlex
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, RunInfo
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from reglab.compat.mlflow import is_schema_mismatch, sql_store
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean
from reglab.schema.text import first_line
from reglab.tracking import database
from reglab.tracking.artifact_location import local_folder
from reglab.tracking.client import client_of, with_retries
from reglab.tracking.location import StoreLocation, check, location_error, parse_location, resolve
from reglab.tracking.locks import locked
from reglab.wording import mlflow_command

FIRST_RUNS = 'start a sweep first: make sweep ARGS="regularizer=none,dropout seed=0,1,2"'
"""The remedy for experiments without runs."""

_START_S = 20.0  # to import MLflow's store and make its tables takes seconds
_LONGEST = 250  # characters of an experiment's name that every database keeps
_opened: dict[tuple[str, str, bool], "Store"] = {}


class NothingTracked(ConfigError):
    """The database to read does not have MLflow's tables."""


@dataclass(frozen=True)
class Store:
    """One experiment of a tracking store.

    Args:
        client: MLflow's client for `uri`.
        experiment_id: MLflow's id of `experiment`.
        experiment: name of the experiment.
        uri: tracking URI (absolute).
        read_only: nothing can be written.
        artifact_location: folder or URI of the artifacts of the experiment's runs.
    """

    client: MlflowClient
    experiment_id: str
    experiment: str
    uri: str
    read_only: bool = False
    artifact_location: str = ""

    @property
    def location(self) -> StoreLocation:
        """The location of the store."""
        return parse_location(self.uri)

    def create_run(self, tags: dict[str, str], name: str) -> RunInfo:
        """Open a run in the experiment.

        Raises:
            ConfigError: its files would be kept outside the store, see `artifact_location.local_folder`.
        """
        local_folder(self.location, self.artifact_location)
        return self.client.create_run(self.experiment_id, tags=tags, run_name=name).info

    def lock(self) -> AbstractContextManager[None]:
        """Return the lock to hold while searching for a run and then creating it; re-entrant, see `locks.locked`."""
        return locked(self.location)

    def model_lock(self) -> AbstractContextManager[None]:
        """Return the separate lock for models, which has no time limit, since creating a model may take long."""
        return locked(self.location, ".models", timeout=-1)


def open_store(uri: str | None, experiment: str, *, writes: bool = True) -> Store:
    """Open the store at `uri` (see `location.resolve`), and create the experiment if it is missing; cached per process.

    Args:
        uri: tracking URI as the user gave it.
        experiment: name of the experiment.
        writes: without, the experiment must exist, and nothing is made: a read-only store is accepted.

    Raises:
        ConfigError: the location cannot be used, or the experiment was deleted.
    """
    location = parse_location(uri)
    key = (location.uri, experiment, writes)
    if key not in _opened:
        if len(experiment) > _LONGEST:
            raise ConfigError(
                Setting("tracking.experiment", f"{experiment[:40]}..."),
                f"has {len(experiment)} characters",
                f"give at most {_LONGEST}",
            )
        check(location, writes=writes)
        database.reduce_logging()
        try:
            with locked(location) if location.is_database and writes else nullcontext():
                _opened[key] = with_retries(location, _open, location, experiment, writes, limit=None, after=_START_S)
        except (MlflowException, SQLAlchemyError, ImportError, OSError) as error:
            raise _open_error(location, error) from error
    return _opened[key]


def open_existing(uri: str | None, experiment: str, *, writes: bool = False, remedy: str = FIRST_RUNS) -> Store:
    """Open the store at `uri`, which must have the experiment: a command that only reads creates no store.

    Args:
        uri: tracking URI as the user gave it.
        experiment: name of the experiment.
        writes: it is to be written; without, a read-only store is accepted and opened as such.
        remedy: remedy in the error if it has no runs.

    Raises:
        ConfigError: nothing was tracked there, or no such experiment.
    """
    location = resolve(uri, writes=False)
    if location.database is not None and not location.database.exists():
        raise location.error("nothing was tracked there yet", remedy)
    client = reading_client(location)
    if client.get_experiment_by_name(experiment) is None:
        names = [other.name for other in client.search_experiments() if other.name != "Default"]
        listed = f" (it has {', '.join(names[:8])})" if names else f"; {remedy}"
        problem = f"no such experiment{did_you_mean(experiment, names) or listed}"
        raise ConfigError(Setting("tracking.experiment", experiment), problem)
    return open_store(uri, experiment, writes=writes or location_error(uri) is None)


def open_if_exists(uri: str | None, experiment: str) -> Store | None:
    """Open the store at `uri` for reading; None if nothing was tracked there yet, not even the experiment.

    Raises:
        ConfigError: it cannot be read.
    """
    location = resolve(uri, writes=False)
    if location.database is not None and not location.database.exists():
        check(location)  # a study would make it here
        return None
    try:
        existing = reading_client(location).get_experiment_by_name(experiment)
    except NothingTracked:
        return None
    return open_store(uri, experiment, writes=False) if existing is not None else None


def reading_client(location: StoreLocation) -> MlflowClient:
    """Return MLflow's client for a store that exists, for reading only.

    Raises:
        ConfigError: it cannot be read.
    """
    database.reduce_logging()
    try:
        return with_retries(location, _reading_client, location, limit=None, after=_START_S)
    except (MlflowException, SQLAlchemyError, ImportError, OSError) as error:
        raise _open_error(location, error) from error


def _reading_client(location: StoreLocation) -> MlflowClient:
    if not location.is_database:
        return client_of(location)
    uri = database.connect(location, writes=False)
    if not database.has_tables(uri):  # MLflow would make them
        where = location.error("").where
        raise NothingTracked(where, "has no tables of MLflow, so nothing was tracked there yet")
    return client_of(location, uri)


def _open(location: StoreLocation, experiment: str, writes: bool) -> Store:
    if not writes:
        client = _reading_client(location)
        stored = client.get_experiment_by_name(experiment)
        if stored is None:
            raise ConfigError(Setting("tracking.experiment", experiment), "no such experiment")
    elif not location.is_database:
        client = client_of(location)
        stored = client.get_experiment_by_name(experiment) or _create_experiment(client, experiment)
    else:
        assert location.artifact_root is not None
        if location.database and not database.has_content(location.database):
            database.create(location.database, location.artifact_root)
        database.connect(location)
        tables = sql_store(location.uri, location.artifact_root)
        client = client_of(location)
        stored = client.get_experiment_by_name(experiment) or tables.get_experiment(
            tables.create_experiment(experiment)
        )
    if stored.lifecycle_stage != LifecycleStage.ACTIVE:
        raise ConfigError(
            Setting("tracking.experiment", experiment),
            "was deleted",
            "choose another name or restore it: "
            f"{mlflow_command(location.uri, 'experiments', 'restore', '--experiment-id', stored.experiment_id)}",
        )
    return Store(
        client,
        stored.experiment_id,
        experiment,
        location.uri,
        not writes,
        stored.artifact_location,
    )


def _create_experiment(client: MlflowClient, experiment: str) -> Experiment:
    try:
        return client.get_experiment(client.create_experiment(experiment))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        existing = client.get_experiment_by_name(experiment)  # a process of another host made it first
        if existing is None:
            raise
        return existing


def _open_error(location: StoreLocation, error: Exception) -> ConfigError:
    """Return the error for a store that MLflow, SQLAlchemy or the driver cannot open."""
    error = getattr(error, "orig", None) or error
    line = first_line(error)
    if is_schema_mismatch(error):
        upgrade = f"mlflow db upgrade {shlex.quote(location.display_uri)}"
        return location.error("was made by another version of MLflow", f"back it up, then: {upgrade}")
    if isinstance(error, ImportError):
        return location.error(f"its driver is not installed ({line})")
    remedy = "move the file away, or name another" if location.database else "check the address"
    return location.error(f"cannot be opened ({line[:300]})", remedy)
