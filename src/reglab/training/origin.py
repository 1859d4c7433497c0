"""A tracked run that is to be run again, or used: what it was made from, and its config composed anew."""

from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from omegaconf import DictConfig, OmegaConf

from reglab.config.check import check
from reglab.config.compose import compose
from reglab.config.identity import setting
from reglab.config.suggest import did_you_mean
from reglab.config.trusted import check_overrides, check_targets
from reglab.errors import ConfigError
from reglab.masking import mask_uri
from reglab.tracking import artifacts, queries
from reglab.tracking.store import Store, connected, open_store
from reglab.tracking.uri import Place, resolve
from reglab.wording import mlflow_command

_FILES = ("path", "root")  # a user's data, which enter the identity by their content


@dataclass(frozen=True)
class Origin:
    """A run as it was tracked.

    Attributes:
        store: the experiment that holds it.
        record: the run.
        overrides: what composed it.
        config: its ``config.yaml``, as plain values; empty where it has none.
        environment: its ``environment.json``; empty where it has none.
        own: the user's own network, ``my_net.Net``, where whoever asks has typed it: its code may be run.
    """

    store: Store
    record: queries.Record
    overrides: list[str]
    config: dict[str, Any]
    environment: dict[str, Any]
    own: str | None = None


def find(uri: str | None, run_id: str, own: str | None = None, experiment: str | None = None) -> Origin:
    """The run of that id, in an experiment or, with None, in whichever; see `Origin`.

    Raises:
        ConfigError: no such run, or one that cannot be run again: a parent, one that has not ended, not made by reglab.
    """
    store = _store_of(resolve(uri), uri, run_id)
    if experiment not in (None, store.experiment):
        raise ConfigError(
            f"tracking.experiment={experiment}: run {run_id} is in {store.experiment}; name that, or leave it out"
        )
    queries.bury(store)
    record = queries.get(store, run_id)
    if record is None:
        restore = mlflow_command(store.uri, "runs", "restore", "--run-id", run_id)
        raise ConfigError(f"run_id={run_id}: was deleted; restore it: {restore}")
    _refuse_what_has_no_result(store, record)
    files = artifacts.of(store, run_id)
    overrides = files.read_yaml("overrides.yaml", list)
    if overrides is not None and not all(isinstance(override, str) for override in overrides):
        raise files.damaged("overrides.yaml", "holds no list of overrides")
    if overrides is None:
        raise ConfigError(f"run_id={run_id}: has no overrides.yaml: give a run that make train or make sweep has made")
    config = files.read_yaml("config.yaml", dict) or {}
    return Origin(store, record, overrides, config, files.read_json("environment.json", dict) or {}, own)


def composed(origin: Origin) -> DictConfig:
    """The config that the project's own tree composes from the run's overrides, and that names no foreign class.

    Raises:
        ConfigError: the overrides do not compose any more, or name a foreign class.
    """
    check_overrides(origin.overrides)
    cfg = compose(origin.overrides)
    check_targets(cfg, origin.own)
    return cfg


def recomposed(origin: Origin, uri: str | None) -> DictConfig:
    """The config that the project's own tree composes from the run's overrides, checked, to be tracked as its rerun.

    It keeps the run's phase, so that the rerun of a tuning run is not taken for a confirmation, and has no parent,
    sweep or study: what these declared is done.

    Args:
        origin: the run.
        uri: of its store, as the user gave it.

    Raises:
        ConfigError: the overrides do not compose any more, name a foreign class, or the data are gone or others.
    """
    run_id = origin.record.run_id
    try:
        cfg = composed(origin)
        tracking = {"uri": uri, "experiment": origin.store.experiment, "rerun_of": run_id}
        tracking |= {"parent": None, "sweep": None, "study": None, "phase": origin.record.tags.get("phase", "single")}
        tracking["tuned"] = origin.config.get("tracking", {}).get("tuned")
        for key, value in tracking.items():
            OmegaConf.update(cfg, f"tracking.{key}", value, force_add=True)
        cfg.resume = False
        check(cfg)
    except ConfigError as error:
        raise ConfigError(f"run_id={run_id}: {error}") from error
    _same_files(origin, cfg)
    return cfg


def _store_of(place: Place, uri: str | None, run_id: str) -> Store:
    if place.database is not None and not place.database.exists():
        raise place.error("nothing was tracked there yet; make a run: make train")
    client = connected(place)
    try:
        experiment = client.get_experiment(client.get_run(run_id).info.experiment_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        where = mask_uri(place.uri)
        raise ConfigError(f"run_id={run_id}: no such run in {where}{_near(client, run_id)}") from error
    return open_store(uri, experiment.name)


def _near(client: MlflowClient, run_id: str) -> str:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    ids = [run.info.run_id for run in client.search_runs(experiments)] if experiments else []
    begun = [known for known in ids if known.startswith(run_id)]
    return f"; did you mean {begun[0]}?" if len(begun) == 1 else did_you_mean(run_id, ids) or "; make train prints ids"


def _refuse_what_has_no_result(store: Store, record: queries.Record) -> None:
    key = f"run_id={record.run_id}"
    if record.tags.get("phase") == "parent":
        children = queries.runs(store, tags={"mlflow.parentRunId": record.run_id})
        such = f", such as {children[0].run_id}" if children else ""
        raise ConfigError(f"{key}: is the parent {record.name}, which trained nothing; give one of its runs{such}")
    if record.status not in ("FINISHED", "FAILED"):
        raise ConfigError(f"{key}: is {record.status}, so there are no final figures to compare; give a FINISHED run")


def _same_files(origin: Origin, cfg: DictConfig) -> None:
    then = queries.about(origin.store, origin.record)
    now = setting(cfg)["data"]
    for key in _FILES:
        before, here = then.get(f"data.{key}"), now.get(key)
        if before and here and before != here:
            raise ConfigError(
                f"run_id={origin.record.run_id}: data.{key}={cfg.data[key]}: has another content now (SHA-256 then "
                f"{before[:12]}, now {here[:12]}); put back what it was trained on"
            )
