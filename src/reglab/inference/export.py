"""What `pipelines/export.py` does: a tracked network as a model of MLflow, which loads and serves without reglab."""

import hashlib
import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from transformers import GenerationConfig, PreTrainedTokenizerFast
from transformers.utils import logging

from reglab.config.trusted import typed
from reglab.inference.adapters import merge_adapters
from reglab.inference.best import best_run
from reglab.inference.graph import answering, examples, graph
from reglab.inference.metadata import ANSWERS, FEATURES, about, of_data, of_run, of_vocabulary
from reglab.inference.rebuilt import BEST, finished, rebuilt
from reglab.inference.trained import decoder
from reglab.masking import URI_VARIABLE, holds_secret
from reglab.schema.errors import ConfigError, Setting
from reglab.streams import note, write_line
from reglab.tasks import LanguageModeling
from reglab.tracking import artifacts, mlflow_models
from reglab.tracking.queries import Record
from reglab.tracking.store import open_existing
from reglab.training.origin import Origin

_LONGEST = 200  # new tokens, as in conf/generate.yaml
_PORT = 5001  # MLflow's own default is that of the UI


def export(cfg: DictConfig) -> str:
    """Logs the model of a run on it, unless it has it, registers it on request, and says how to use it.

    Args:
        cfg: ``conf/export.yaml``, checked.

    Returns:
        the model's URI, by its registered name if it has one.

    Raises:
        ConfigError: no such run or none that can be chosen, one without weights, or a model that cannot be traced.
    """
    made = finished(cfg.tracking.uri, cfg.run_id or _best(cfg), typed(cfg))
    store, record = made.store, made.record
    write_line(f"run {record.run_id}: {about(record)}")
    with store.model_lock():  # of two that ask at the same moment, the second finds the model of the first
        model_id = _found_or_logged(made, cfg.tracking.uri)
        uri = f"models:/{model_id}"
        if cfg.register is not None:
            version = mlflow_models.register(store, record.run_id, model_id, cfg.register, about(record))
            uri = f"models:/{cfg.register}/{version}"
            write_line(f"registered: {cfg.register}, version {version}")
    write_line(f"it answers with {ANSWERS[record.tags['task']]}; more is in its metadata")
    _say_use(store.uri, uri, _asking(record))
    return uri


def _best(cfg: DictConfig) -> str:
    found = best_run(open_existing(cfg.tracking.uri, cfg.tracking.experiment), cfg.metric, cfg.data.name)
    write_line(f"best by {found.metric}: {found.record.metrics[found.metric]:.4g}{found.note}")
    return found.record.run_id


def _found_or_logged(made: Origin, uri: str | None) -> str:
    weights = _digest(made)
    model_id = mlflow_models.find(made.store, made.record.run_id, weights)
    if model_id is not None:
        write_line(f"its model was logged before: models:/{model_id}")
        return model_id
    model_id = _logged(made, uri, weights)
    write_line(f"logged its model: models:/{model_id}")
    return model_id


def _digest(made: Origin) -> str:
    """SHA-256 of the best weights, 16 hexadecimal digits."""
    run_id = made.record.run_id
    with artifacts.of(made.store, run_id).file(BEST) as file:
        if file is None:
            raise ConfigError(Setting("run_id", run_id), "kept no weights (tracking.weights=none)", "give another run")
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()[:16]


def _logged(made: Origin, uri: str | None, weights: str) -> str:
    """Made whole in a folder aside, so that a model that cannot be made leaves nothing in the store."""
    record = made.record
    with tempfile.TemporaryDirectory(prefix="reglab-export-") as temporary:
        folder = Path(temporary, "model")
        if record.tags.get("task") == LanguageModeling.kind:
            _save_decoder(folder, uri, made)
        else:
            _save_graph(folder, made, uri)
        told = {name: record.tags[name] for name in ("strategy", "data", "model", "task") if name in record.tags}
        tags = told | {mlflow_models.WEIGHTS: weights, "mlflow.note.content": about(record)}
        return mlflow_models.log(made.store, record, folder, tags)


def _save_graph(folder: Path, made: Origin, uri: str | None) -> None:
    found = rebuilt(made, uri)
    inputs = examples(found.data)
    traced = graph(answering(found.model, found.data), inputs, f"run_id={made.record.run_id}")
    with torch.no_grad():
        outputs: np.ndarray = traced.module()(inputs).numpy()
    metadata = {**of_run(made.record), **of_data(found.data)}
    try:
        mlflow_models.save_graph(folder, traced, inputs.numpy(), outputs, metadata)
    except ValueError as error:
        raise ConfigError(
            Setting("run_id", made.record.run_id), f"cannot be exported: {error}", "give it plain tensors"
        ) from error
    if features := found.data.features():
        (folder / FEATURES).write_text(json.dumps(features, indent=1), encoding="utf-8")


def _save_decoder(folder: Path, uri: str | None, made: Origin) -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    record = made.record
    found = decoder(uri, record.run_id, made.typed)
    model: Any = found.model
    merge_adapters(model, f"run_id={record.run_id}")
    model.config.use_cache = True
    model.name_or_path = model.config.name_or_path = ""  # a folder here, which MLflow would look for on a hub
    end = found.vocabulary.id_to_token(found.end)
    # An empty prompt is the end of the text before, and any other is taken as it is, as in generation of our own.
    ends = {"bos_token_id": found.end, "eos_token_id": found.end, "pad_token_id": found.end}
    model.generation_config = GenerationConfig(max_new_tokens=_LONGEST, do_sample=False, use_cache=True, **ends)
    found.vocabulary.post_processor = None
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=found.vocabulary, eos_token=end, pad_token=end, clean_up_tokenization_spaces=False
    )
    metadata = {**of_run(record), **of_vocabulary(found.vocabulary), "context_length": found.context_length}
    mlflow_models.save_decoder(folder, model, tokenizer, metadata, _LONGEST)


def _asking(record: Record) -> str:
    if record.tags["task"] == LanguageModeling.kind:
        return f"print(model.predict([{json.dumps(mlflow_models.PROMPT)}]))"
    # Of a signature with float32 MLflow takes nothing else, and numpy makes float64.
    return 'rows = model.input_example  # or yours\nprint(model.predict(rows.astype("float32")))'


def _say_use(store_uri: str, uri: str, asking: str) -> None:
    """Print both commands, ready to paste; a store whose URI has a secret has to be named by the environment."""
    secret = holds_secret(store_uri)
    place = "" if secret else f"mlflow.set_tracking_uri({json.dumps(store_uri)})\n"
    if secret:
        note(f"the tracking URI has a secret, which is not shown: set {URI_VARIABLE} before the next commands")
    write_line(f"in Python:\nimport mlflow\n{place}model = mlflow.pyfunc.load_model({json.dumps(uri)})\n{asking}")
    # It starts a server by its bare name, which has to be found where mlflow is.
    path = f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    where = "" if secret else f" {URI_VARIABLE}={shlex.quote(store_uri)}"
    write_line(
        f"over HTTP:\n{path}{where} mlflow models serve -m {shlex.quote(uri)} --env-manager local --port {_PORT}"
    )
