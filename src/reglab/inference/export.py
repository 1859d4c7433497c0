"""Export a tracked network as a model of MLflow, which loads and serves without reglab."""

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
from tokenizers import Tokenizer
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from reglab.config.trusted import typed
from reglab.data.base import TensorData
from reglab.data.tokenizer import UNKNOWN
from reglab.inference.best_run import best_run
from reglab.inference.graph import Predictor, examples, trace
from reglab.inference.loading import BEST, finished_run, load_decoder, rebuild
from reglab.masking import URI_VARIABLE, has_secret
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import CLASS_LABELS, LABEL_SETS, TASK_KINDS, features_of
from reglab.streams import note, write_line
from reglab.tasks import LanguageModeling
from reglab.tracking import artifacts, mlflow_models
from reglab.tracking.queries import Record
from reglab.tracking.store import open_existing
from reglab.training import build
from reglab.training.original_run import OriginalRun

_LONGEST = 200  # new tokens, as in conf/generate.yaml
_PORT = 5001  # MLflow's own default is that of the UI
FEATURES = "inputs.json"  # beside the model: the column of each input
_ENTRIES = (
    f"one for each entry of {FEATURES}, in order: (x - mean) / scale, where x is the value of the column, or missing "
    "if it is empty (0 if scale is null); for an entry with a value: 1 if the column has this value, else 0"
)
_QUALITY = (*dict.fromkeys(f"best/val/{kind.choose_by}" for kind in TASK_KINDS.values()), "best/val/loss")


def export(cfg: DictConfig) -> str:
    """Log the model of a run on this run, unless it was logged before; register it on request; print how to use it.

    Args:
        cfg: ``conf/export.yaml``, checked.

    Returns:
        The model's URI, by its registered name if it has one.

    Raises:
        ConfigError: no such run, or none can be chosen; a run without weights; or a model that cannot be traced.
    """
    run = finished_run(cfg.tracking.uri, cfg.run_id or _best(cfg), typed(cfg))
    store, record = run.store, run.record
    write_line(f"run {record.run_id}: {describe_run(record)}")
    with store.model_lock():  # of two processes that export at the same time, the second finds the model of the first
        model_id = _find_or_log(run, cfg.tracking.uri)
        uri = f"models:/{model_id}"
        if cfg.register is not None:
            version = mlflow_models.register(store, record.run_id, model_id, cfg.register, describe_run(record))
            uri = f"models:/{cfg.register}/{version}"
            write_line(f"registered: {cfg.register}, version {version}")
    write_line(f"it returns {TASK_KINDS[record.tags['task']].outputs}; see its metadata for details")
    _print_use(store.uri, uri, _example_call(record))
    return uri


def _best(cfg: DictConfig) -> str:
    best = best_run(open_existing(cfg.tracking.uri, cfg.tracking.experiment), cfg.metric, cfg.data.name)
    write_line(f"best by {best.metric}: {best.record.metrics[best.metric]:.4g}{best.note}")
    return best.record.run_id


def _find_or_log(run: OriginalRun, uri: str | None) -> str:
    weights = _weights_digest(run)
    model_id = mlflow_models.find(run.store, run.record.run_id, weights)
    if model_id is not None:
        write_line(f"the model was already logged: models:/{model_id}")
        return model_id
    model_id = _log(run, uri, weights)
    write_line(f"logged the model: models:/{model_id}")
    return model_id


def _weights_digest(run: OriginalRun) -> str:
    """Return the SHA-256 of the best weights, 16 hexadecimal digits."""
    run_id = run.record.run_id
    with artifacts.of_run(run.store, run_id).file(BEST) as file:
        if file is None:
            raise ConfigError(Setting("run_id", run_id), "has no weights (tracking.weights=none)", "give another run")
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()[:16]


def _log(run: OriginalRun, uri: str | None, weights: str) -> str:
    """Make the model in a temporary folder and log it, so that a failure leaves nothing in the store."""
    record = run.record
    with tempfile.TemporaryDirectory(prefix="reglab-export-") as temporary:
        folder = Path(temporary, "model")
        if record.tags.get("task") == LanguageModeling.kind:
            _save_decoder(folder, uri, run)
        else:
            _save_graph(folder, run, uri)
        run_tags = {name: record.tags[name] for name in ("strategy", "data", "model", "task") if name in record.tags}
        tags = run_tags | {mlflow_models.WEIGHTS: weights, "mlflow.note.content": describe_run(record)}
        return mlflow_models.log(run.store, record, folder, tags)


def _save_graph(folder: Path, run: OriginalRun, uri: str | None) -> None:
    rebuilt = rebuild(run, uri)
    inputs = examples(rebuilt.data)
    predictor = Predictor(rebuilt.model, build.build_task(rebuilt.cfg, rebuilt.data)).eval()
    traced = trace(predictor, inputs, Setting("run_id", run.record.run_id))
    with torch.no_grad():
        outputs: np.ndarray = traced.module()(inputs).numpy()
    metadata = {**run_metadata(run.record), **data_metadata(rebuilt.data)}
    try:
        mlflow_models.save_graph(folder, traced, inputs.numpy(), outputs, metadata)
    except ValueError as error:
        raise ConfigError(
            Setting("run_id", run.record.run_id), f"cannot be exported: {error}", "use plain tensors only"
        ) from error
    if features := rebuilt.data.features():
        (folder / FEATURES).write_text(json.dumps(features, indent=1), encoding="utf-8")


def _save_decoder(folder: Path, uri: str | None, run: OriginalRun) -> None:
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    record = run.record
    decoder = load_decoder(uri, record.run_id, run.typed)
    model: Any = decoder.model
    merge_adapters(model, Setting("run_id", record.run_id))
    model.config.use_cache = True
    model.name_or_path = model.config.name_or_path = ""  # a folder here, which MLflow would look for on a hub
    end = decoder.vocabulary.id_to_token(decoder.end)
    # An empty prompt becomes the end-of-text token, which is not added to other prompts, as in `generation.encode`.
    ends = {"bos_token_id": decoder.end, "eos_token_id": decoder.end, "pad_token_id": decoder.end}
    model.generation_config = GenerationConfig(max_new_tokens=_LONGEST, do_sample=False, use_cache=True, **ends)
    decoder.vocabulary.post_processor = None
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=decoder.vocabulary, eos_token=end, pad_token=end, clean_up_tokenization_spaces=False
    )
    metadata = {
        **run_metadata(record),
        **vocabulary_metadata(decoder.vocabulary),
        "context_length": decoder.context_length,
    }
    mlflow_models.save_decoder(folder, model, tokenizer, metadata, _LONGEST)


def _example_call(record: Record) -> str:
    if record.tags["task"] == LanguageModeling.kind:
        return f"print(model.predict([{json.dumps(mlflow_models.PROMPT)}]))"
    # With a signature of float32 MLflow accepts nothing else, and numpy's default is float64.
    return 'rows = model.input_example  # or yours\nprint(model.predict(rows.astype("float32")))'


def _print_use(store_uri: str, uri: str, example_call: str) -> None:
    """Print the commands that use the model; a store whose URI has a secret is named by an environment variable."""
    secret = has_secret(store_uri)
    set_uri = "" if secret else f"mlflow.set_tracking_uri({json.dumps(store_uri, ensure_ascii=False)})\n"
    if secret:
        note(f"the tracking URI has a secret, which is not shown: set {URI_VARIABLE} before the next commands")
    write_line(
        f"in Python:\nimport mlflow\n{set_uri}model = mlflow.pyfunc.load_model({json.dumps(uri)})\n{example_call}"
    )
    # MLflow starts the server program by name, so its folder must be in PATH.
    path = f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    set_variable = "" if secret else f" {URI_VARIABLE}={shlex.quote(store_uri)}"
    write_line(
        f"over HTTP:\n{path}{set_variable} mlflow models serve -m {shlex.quote(uri)} --env-manager local --port {_PORT}"
    )


def merge_adapters(model: nn.Module, where: Setting) -> None:
    """Merge low-rank adapters into the weights beside which they were trained, equal up to rounding.

    Args:
        model: changed in place; a model without adapters stays unchanged.
        where: the run, for messages.

    Raises:
        ConfigError: adapters of a kind that cannot be merged.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    for name, module in list(model.named_modules()):
        if isinstance(module, AuxiliaryTrainingWrapper):
            raise ConfigError(
                where,
                f"its adapters also train {name} as a whole, which cannot be merged into the weights",
                "give a run without modules_to_save in model.lora",
            )
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, module.get_base_layer())


def describe_run(record: Record) -> str:
    """Return a run in one line: strategy, data, model and its quality in validation."""
    tags = record.tags
    quality = next((f", {name} {record.metrics[name]:.4g}" for name in _QUALITY if name in record.metrics), "")
    return f"{tags.get('strategy')} on {tags.get('data')} {tags.get('model')}{quality}"


def run_metadata(record: Record) -> dict[str, Any]:
    """Return the metadata of a model that come from its run, as plain values."""
    tags = record.tags
    names = ("strategy", "data", "model", "seed", "config_hash", "git_commit")
    return {
        "description": describe_run(record),
        "run_id": record.run_id,
        **{name: tags[name] for name in names if name in tags},
        "kind": tags["task"],  # MLflow uses "task" itself
        "answers": TASK_KINDS[tags["task"]].outputs,
        "metrics": {name: record.metrics[name] for name in _QUALITY if name in record.metrics},
    }


def vocabulary_metadata(vocabulary: Tokenizer) -> dict[str, str]:
    """Return the metadata on characters that a decoder's tokenizer does not have."""
    if vocabulary.token_to_id(UNKNOWN) is None:
        return {}
    return {"unknown": f"a character absent from the training text is encoded as {UNKNOWN}, an untrained token"}


def data_metadata(data: TensorData) -> dict[str, Any]:
    """Return the metadata on inputs and outputs."""
    inputs = {"shape": list(data.input_shape), "dtype": "float32", "as": data.inputs_description}
    if data.features():
        inputs["features"] = _ENTRIES
    features = features_of(data.kind)
    if CLASS_LABELS in features:
        return {"inputs": inputs, "classes": list(data.class_names or map(str, range(data.outputs)))}
    if LABEL_SETS in features:
        return {"inputs": inputs, "labels": list(data.class_names)}
    return {"inputs": inputs, "target": {"mean": data.target_mean, "scale": data.target_scale}}
