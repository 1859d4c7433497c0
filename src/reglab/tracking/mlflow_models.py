"""Save, log, find and register the models of runs in MLflow.

A model loads without reglab, and nothing in it is unpickled.
"""

import json
import logging
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from torch import nn
from torch.export import ExportedProgram

from reglab.compat.mlflow import MLFLOW_MODEL_VERSIONS
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text import first_line
from reglab.streams import note
from reglab.tracking.artifact_location import mlflow_folder
from reglab.tracking.queries import Record
from reglab.tracking.store import Store
from reglab.tracking.values import json_object

NAME = "model"
WEIGHTS = "weights_hash"  # a tag: which weights of the run the model has
FILES = "files"  # a tag: bytes of each of its files
PROMPT = "The "
_ARCHIVE = "data/model.pt2"
# MLflow strips each answer, and no setting of a text generator prevents that.
WHITESPACE = (
    "stripped from both ends of the output; return_full_text=true returns prompt and text, with the whitespace between"
)


def save_graph(
    folder: Path, program: ExportedProgram, inputs: np.ndarray, outputs: np.ndarray, metadata: Mapping[str, Any]
) -> None:
    """Save a network of tensors as the archive of ``torch.export``, with the program that loads it (`graph_model`).

    MLflow's own flavor is not used: it keeps rows of data in the archive as a pickle, and stack traces with the paths
    of this machine; and if it must not read pickles, it refuses an archive without one.

    Args:
        folder: is made.
        program: traced for any number of rows, without example inputs.
        inputs: rows (at least 2, *shape), the input example.
        outputs: the model's outputs for them, rows first.
        metadata: metadata for users of the model, as plain values.

    Raises:
        ValueError: the network has tensors or objects that can only be stored as a pickle.
    """
    import mlflow.pyfunc

    with _quiet():
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(Path(__file__).with_name("graph_model.py")),
            input_example=inputs,
            signature=ModelSignature(Schema([_rows(inputs)]), Schema([_rows(outputs)])),
            pip_requirements=_requirements("torch", "numpy"),
            metadata=dict(metadata),
        )
    archive = folder / _ARCHIVE
    archive.parent.mkdir()
    torch.export.save(program, archive)
    if pickled := _pickled_objects(archive):
        raise ValueError(f"cannot be stored without a pickle: {', '.join(pickled[:3])}")
    model = Model.load(str(folder))
    flavor = model.flavors["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name  # MLflow writes the path on this machine
    flavor["artifacts"] = {"graph": {"path": _ARCHIVE, "uri": _ARCHIVE}}
    flavor.pop("cloudpickle_version")
    model.add_flavor("pytorch", model_data=str(Path(_ARCHIVE).parent), pytorch_version=version("torch"), code=None)
    model.save(str(folder / "MLmodel"))


def _pickled_objects(archive: Path) -> list[str]:
    """Return the names of the tensors and objects that the archive contains as pickles."""
    names = []
    with zipfile.ZipFile(archive) as members:
        for member in members.namelist():
            if member.endswith("_config.json"):
                entries = json.loads(members.read(member))["config"]
                names += [key for key, entry in entries.items() if entry["use_pickle"]]
            elif "/sample_inputs/" in member and members.getinfo(member).file_size:
                names.append("sample inputs")
    return names


def save_decoder(
    folder: Path, decoder: nn.Module, tokenizer: object, metadata: Mapping[str, Any], longest: int
) -> None:
    """Save a language model of the transformers library: weights as safetensors, text in and text out.

    Args:
        folder: is made.
        decoder: a ``PreTrainedModel``.
        tokenizer: a ``PreTrainedTokenizerFast``.
        metadata: metadata for users of the model, as plain values; how MLflow treats whitespace is added.
        longest: most new tokens, unless a request sets another limit.
    """
    import mlflow.transformers

    text = Schema([ColSpec(DataType.string)])
    params = [
        ParamSpec("max_new_tokens", DataType.long, longest),
        ParamSpec("do_sample", DataType.boolean, False),
        ParamSpec("return_full_text", DataType.boolean, False),  # true: the prompt, and the text after it
    ]
    with _quiet():
        mlflow.transformers.save_model(
            {"model": decoder, "tokenizer": tokenizer},
            str(folder),
            task="text-generation",
            input_example=[PROMPT],
            signature=ModelSignature(text, text, ParamSchema(params)),
            pip_requirements=_requirements("torch", "transformers", "numpy"),
            metadata={**metadata, "whitespace": WHITESPACE},
        )
    (folder / "LICENSE.txt").unlink(missing_ok=True)  # MLflow writes it on a repository that does not exist


def _rows(array: np.ndarray) -> TensorSpec:
    return TensorSpec(array.dtype, (-1, *array.shape[1:]))


def _requirements(*packages: str) -> Sequence[str]:
    """Return the versions in use, without the name of a build (``+cpu``), which no package index has."""
    return [f"{package}=={version(package).partition('+')[0]}" for package in ("mlflow", *packages)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence MLflow's reports on defaults and on hubs that are not used."""
    logger = logging.getLogger("mlflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def find(store: Store, run_id: str, weights: str) -> str | None:
    """Return the id of the run's model with these weights; None if there is none with all its files.

    A note names each model of which a file is missing or has another size.
    """
    models = store.client.search_logged_models([store.experiment_id], f"source_run_id = '{run_id}'")
    for model in models:
        if model.status == LoggedModelStatus.READY and model.tags.get(WEIGHTS) == weights:
            if not (problem := _problem_with_files(store, model)):
                return str(model.model_id)
            note(f"models:/{model.model_id} of run {run_id} is not complete ({problem}): not used")
    return None


def _problem_with_files(store: Store, model: LoggedModel) -> str:
    """Return the problem with the files of a model; empty if they are those that were logged."""
    logged = json_object(model.tags.get(FILES))
    if not logged:
        return "it was logged without a list of its files"
    try:
        folder = mlflow_folder(store.location, model.artifact_location, f"models:/{model.model_id}")
    except ConfigError as error:
        return str(error)
    stored = _sizes_behind_server(store.client, model.model_id) if folder is None else _sizes(folder)
    changed = sorted(path for path, size in logged.items() if stored.get(path) != size)
    return f"missing or of another size: {', '.join(changed[:4])}" if changed else ""


def _sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each file below a folder, by relative path."""
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in folder.rglob("*") if file.is_file()}


def _sizes_behind_server(client: MlflowClient, model_id: str, path: str | None = None) -> dict[str, int]:
    """Return the same as `_sizes` for a model behind a server."""
    sizes: dict[str, int] = {}
    for file in client.list_logged_model_artifacts(model_id, path):
        sizes |= (
            _sizes_behind_server(client, model_id, file.path) if file.is_dir else {file.path: int(file.file_size or 0)}
        )
    return sizes


def log(store: Store, record: Record, folder: Path, tags: Mapping[str, str]) -> str:
    """Log a model with its run; nothing else of the run changes.

    MLflow's ``log_model`` is not used: it works on the run and the store that are active in the whole process, and
    leaves a model without files if it fails.

    Args:
        store: the run's experiment.
        record: the run.
        folder: the model, from `save_graph` or `save_decoder`.
        tags: tags of the model, with `WEIGHTS`.

    Returns:
        The model's id: ``models:/<id>`` is its URI.
    """
    client, run_id = store.client, record.run_id
    model = client.create_logged_model(
        store.experiment_id, name=NAME, source_run_id=run_id, tags=dict(tags), params=record.params
    )
    try:
        mlflow_folder(store.location, model.artifact_location, Setting("run_id", run_id))
        description = Model.load(str(folder))
        description.run_id, description.model_id, description.model_uuid = run_id, model.model_id, model.model_id
        description.artifact_path = None  # the folder of the store on this machine
        description.save(str(folder / "MLmodel"))
        client.set_logged_model_tags(model.model_id, {FILES: json.dumps(_sizes(folder), sort_keys=True)})
        client.log_model_artifacts(model.model_id, str(folder))
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    except BaseException:
        client.delete_logged_model(model.model_id)
        raise
    return str(model.model_id)


def register(store: Store, run_id: str, model_id: str, name: str, description: str) -> int:
    """Register a model under a name, unless it is registered there already, and return its version.

    Raises:
        ConfigError: the registry refuses it.
    """
    client, is_new_name = store.client, False
    # Not models:/<id>, which MLflow would look up in the store that is active in the whole process.
    source = client.get_logged_model(model_id).artifact_location
    try:
        versions = client.search_model_versions(f"name = '{name}'")
        registered = next((version for version in versions if version.source == source), None)
        if registered is not None:
            return int(registered.version)
        is_new_name = not client.search_registered_models(f"name = '{name}'")
        if is_new_name:
            client.create_registered_model(name)
        model_version = client.create_model_version(
            name, source, run_id=run_id, description=description, model_id=model_id
        )
    except MlflowException as error:
        if is_new_name:
            client.delete_registered_model(name)
        reason = first_line(error)
        raise ConfigError(
            Setting("register", name), f"the registry refuses it ({reason})", "give another name"
        ) from error
    _link(client, model_id, {"name": name, "version": model_version.version})
    return int(model_version.version)


def _link(client: MlflowClient, model_id: str, version: dict[str, object]) -> None:
    """Set the tag by which the UI shows the versions of a model; a server sets it itself."""
    known = json.loads(client.get_logged_model(model_id).tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
    if not any(
        linked["name"] == version["name"] and str(linked["version"]) == str(version["version"]) for linked in known
    ):
        client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([*known, version])})
