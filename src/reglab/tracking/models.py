"""Models of runs: logged beside the run, found again, and registered under a name."""

import json
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from reglab.schema.errors import ConfigError, Setting
from reglab.streams import note
from reglab.tracking import values
from reglab.tracking.artifact_location import mlflow_folder
from reglab.tracking.queries import Record
from reglab.tracking.store import Store

NAME = "model"
WEIGHTS = "weights_hash"  # a tag: which weights of the run the model holds
FILES = "files"  # a tag: bytes of each of its files


def known(store: Store, run_id: str, weights: str) -> str | None:
    """Return the id of the run's model with these weights, None if none was logged whole.

    A note names each model whose files are not all there with their sizes.
    """
    found = store.client.search_logged_models([store.experiment_id], f"source_run_id = '{run_id}'")
    for model in found:
        if model.status == LoggedModelStatus.READY and model.tags.get(WEIGHTS) == weights:
            if not (problem := _problem(store, model)):
                return str(model.model_id)
            note(f"models:/{model.model_id} of run {run_id} is not whole ({problem}): not used")
    return None


def _problem(store: Store, model: LoggedModel) -> str:
    """Return what is wrong with the files of a model, empty if they are those that were logged."""
    logged = values.json_object(model.tags.get(FILES))
    if not logged:
        return "it was logged without a list of its files"
    try:
        folder = mlflow_folder(store.place, model.artifact_location, f"models:/{model.model_id}")
    except ConfigError as error:
        return str(error)
    kept = _listed(store.client, model.model_id) if folder is None else _sizes(folder)
    changed = sorted(path for path, size in logged.items() if kept.get(path) != size)
    return f"missing or of another size: {', '.join(changed[:4])}" if changed else ""


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file below a folder, by its path there."""
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in folder.rglob("*") if file.is_file()}


def _listed(client: MlflowClient, model_id: str, path: str | None = None) -> dict[str, int]:
    """Return the same of a model behind a server."""
    sizes: dict[str, int] = {}
    for file in client.list_logged_model_artifacts(model_id, path):
        sizes |= _listed(client, model_id, file.path) if file.is_dir else {file.path: int(file.file_size or 0)}
    return sizes


def log(store: Store, record: Record, folder: Path, tags: Mapping[str, str]) -> str:
    """Logs a model on its run, which stays as it is in all else.

    It does not use MLflow's ``log_model``, which would do it through the run and the store that the whole process has
    as its active ones, and would leave a model without files where it fails.

    Args:
        store: the run's experiment.
        record: the run.
        folder: the model, whole; see `flavors`.
        tags: of the model, `WEIGHTS` among them.

    Returns:
        its id: ``models:/<id>`` is its URI.
    """
    client, run_id = store.client, record.run_id
    made = client.create_logged_model(
        store.experiment_id, name=NAME, source_run_id=run_id, tags=dict(tags), params=record.params
    )
    try:
        mlflow_folder(store.place, made.artifact_location, f"run_id={run_id}")
        told = Model.load(str(folder))
        told.run_id, told.model_id, told.model_uuid = run_id, made.model_id, made.model_id
        told.artifact_path = None  # the folder of the store on this machine
        told.save(str(folder / "MLmodel"))
        client.set_logged_model_tags(made.model_id, {FILES: json.dumps(_sizes(folder), sort_keys=True)})
        client.log_model_artifacts(made.model_id, str(folder))
        client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
        client.log_outputs(run_id, [LoggedModelOutput(made.model_id, step=0)])
    except BaseException:
        client.delete_logged_model(made.model_id)
        raise
    return str(made.model_id)


def register(store: Store, run_id: str, model_id: str, name: str, description: str) -> int:
    """The version under which the model is registered: its own, where it has one under this name, else a new one.

    Raises:
        ConfigError: the registry does not take it.
    """
    client, fresh = store.client, False
    # Not models:/<id>, which a database would look up in the store that the whole process has as its active one.
    source = client.get_logged_model(model_id).artifact_location
    try:
        versions = client.search_model_versions(f"name = '{name}'")
        mine = next((version for version in versions if version.source == source), None)
        if mine is not None:
            return int(mine.version)
        fresh = not client.search_registered_models(f"name = '{name}'")
        if fresh:
            client.create_registered_model(name)
        made = client.create_model_version(name, source, run_id=run_id, description=description, model_id=model_id)
    except MlflowException as error:
        if fresh:
            client.delete_registered_model(name)
        first = (str(error).strip().splitlines() or [""])[0]
        raise ConfigError(
            Setting("register", name), f"the registry does not take it ({first})", "give another name"
        ) from error
    _link(client, model_id, {"name": name, "version": made.version})
    return int(made.version)


def _link(client: MlflowClient, model_id: str, version: dict[str, object]) -> None:
    """By this tag the UI shows the versions of a model; a server has set it itself."""
    known = json.loads(client.get_logged_model(model_id).tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
    if not any(one["name"] == version["name"] and str(one["version"]) == str(version["version"]) for one in known):
        client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([*known, version])})
