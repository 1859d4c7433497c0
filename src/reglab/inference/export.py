"""What `pipelines/export.py` does: a tracked network as a model of MLflow, which loads and serves without reglab."""

import hashlib
import inspect
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from transformers import GenerationConfig, PreTrainedTokenizerFast
from transformers.utils import logging

from reglab.data.base import TensorData
from reglab.errors import ConfigError
from reglab.inference.adapters import merge_adapters
from reglab.inference.best import best_run
from reglab.inference.graph import answering, examples, graph
from reglab.inference.rebuilt import BEST, finished, rebuilt
from reglab.inference.trained import decoder
from reglab.tasks import LanguageModeling
from reglab.tracking import artifacts, flavors, models
from reglab.tracking.existing import existing
from reglab.tracking.queries import Record
from reglab.tracking.uri import without_password
from reglab.training.origin import Origin

ANSWERS = {
    "classification": "probabilities of the classes",
    "regression": "the target in its own units",
    LanguageModeling.kind: "the text that goes on with a prompt, without the prompt",
}
FEATURES = "inputs.json"  # beside the model: what each input is made from
_LONGEST = 200  # new tokens, as in conf/generate.yaml
_PORT = 5001  # MLflow's own default is that of the UI
_JUDGES = ("best/val/accuracy", "best/val/rmse", "best/val/bits_per_character", "best/val/loss")


def export(cfg: DictConfig) -> str:
    """Logs the model of a run on it, unless it has it, registers it on request, and says how to use it.

    Args:
        cfg: ``conf/export.yaml``, checked.

    Returns:
        the model's URI, by its registered name if it has one.

    Raises:
        ConfigError: no such run or none that can be chosen, one without weights, or a model that cannot be traced.
    """
    made = finished(cfg.tracking.uri, cfg.run_id) if cfg.run_id else _best(cfg)
    store, record = made.store, made.record
    weights = _digest(made)
    model_id = models.known(store, record.run_id, weights)
    _say(f"run {record.run_id}: {_about(record)}")
    if model_id is not None:
        _say(f"its model was logged before: models:/{model_id}")
    else:
        model_id = _logged(made, cfg.tracking.uri, weights)
        _say(f"logged its model: models:/{model_id}")
    uri = f"models:/{model_id}"
    if cfg.register is not None:
        version = models.register(store, record.run_id, model_id, cfg.register, _about(record))
        uri = f"models:/{cfg.register}/{version}"
        _say(f"registered: {cfg.register}, version {version}")
    _say(f"it answers with {ANSWERS[record.tags['task']]}; more is in its metadata")
    _say_use(without_password(store.uri), uri)
    return uri


def _best(cfg: DictConfig) -> Origin:
    record, metric = best_run(existing(cfg.tracking.uri, cfg.tracking.experiment), cfg.metric, cfg.data.name)
    _say(f"best by {metric}: {record.metrics[metric]:.4g}")
    return finished(cfg.tracking.uri, record.run_id)


def _digest(made: Origin) -> str:
    """SHA-256 of the best weights, 16 hexadecimal digits."""
    run_id = made.record.run_id
    with artifacts.of(made.store, run_id).file(BEST) as file:
        if file is None:
            raise ConfigError(f"run_id={run_id}: kept no weights (tracking.weights=none); give another run")
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()[:16]


def _logged(made: Origin, uri: str | None, weights: str) -> str:
    """Made whole in a folder aside, so that a model that cannot be made leaves nothing in the store."""
    record = made.record
    with tempfile.TemporaryDirectory(prefix="reglab-export-") as temporary:
        folder = Path(temporary, "model")
        if record.tags.get("task") == LanguageModeling.kind:
            _save_decoder(folder, uri, record)
        else:
            _save_graph(folder, made, uri)
        told = {name: record.tags[name] for name in ("strategy", "data", "model", "task") if name in record.tags}
        tags = told | {models.WEIGHTS: weights, "mlflow.note.content": _about(record)}
        return models.log(made.store, record, folder, tags)


def _save_graph(folder: Path, made: Origin, uri: str | None) -> None:
    found = rebuilt(made, uri)
    inputs = examples(found.data)
    traced = graph(answering(found.model, found.data), inputs, f"run_id={made.record.run_id}")
    with torch.no_grad():
        outputs: np.ndarray = traced(inputs).numpy()
    metadata = {**_metadata(made.record), **_of_data(found.data)}
    flavors.save_graph(folder, traced, inputs.numpy(), outputs, metadata)
    if features := found.data.features():
        (folder / FEATURES).write_text(json.dumps(features, indent=1), encoding="utf-8")


def _save_decoder(folder: Path, uri: str | None, record: Record) -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    found = decoder(uri, record.run_id)
    model: Any = found.model
    merge_adapters(model, f"run_id={record.run_id}")
    model.config.use_cache = True
    model.name_or_path = model.config._name_or_path = ""  # a folder here, which MLflow would look for on a hub
    end = found.vocabulary.id_to_token(found.end)
    # An empty prompt is the end of the text before, and any other is taken as it is, as in generation of our own.
    ends = {"bos_token_id": found.end, "eos_token_id": found.end, "pad_token_id": found.end}
    model.generation_config = GenerationConfig(max_new_tokens=_LONGEST, do_sample=False, use_cache=True, **ends)
    found.vocabulary.post_processor = None
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=found.vocabulary, eos_token=end, pad_token=end, clean_up_tokenization_spaces=False
    )
    metadata = {**_metadata(record), "context_length": found.context_length}
    flavors.save_decoder(folder, model, tokenizer, metadata, _LONGEST)


def _metadata(record: Record) -> dict[str, Any]:
    """What the run says of a model, as plain values."""
    tags = record.tags
    names = ("strategy", "data", "model", "seed", "config_hash", "git_commit")
    return {
        "description": _about(record),
        "run_id": record.run_id,
        **{name: tags[name] for name in names if name in tags},
        "kind": tags["task"],  # "task" is a word of MLflow's own
        "answers": ANSWERS[tags["task"]],
        "metrics": {name: record.metrics[name] for name in _JUDGES if name in record.metrics},
    }


def _of_data(data: TensorData) -> dict[str, Any]:
    """What a user must know of inputs and answers."""
    about = inspect.cleandoc(type(data).__doc__ or "").partition("\n\n")[0]
    inputs = {"shape": list(data.input_shape), "dtype": "float32", "as": " ".join(about.split())}
    if data.features():
        inputs["features"] = f"{FEATURES}: what each is made from; (value - mean) / scale"
    if data.kind == "classification":
        return {"inputs": inputs, "classes": list(data.class_names or map(str, range(data.outputs)))}
    return {"inputs": inputs, "target": {"mean": data.target_mean, "scale": data.target_scale}}


def _about(record: Record) -> str:
    tags = record.tags
    judged = next((f", {name} {record.metrics[name]:.4g}" for name in _JUDGES if name in record.metrics), "")
    return f"{tags.get('strategy')} on {tags.get('data')} {tags.get('model')}{judged}"


def _say_use(where: str, uri: str) -> None:
    python = f'import mlflow; mlflow.set_tracking_uri("{where}"); model = mlflow.pyfunc.load_model("{uri}")'
    # It starts a server by its bare name, which has to be found where mlflow is.
    known = f"PATH={Path(sys.executable).parent}:$PATH MLFLOW_TRACKING_URI={where}"
    _say(f"in Python:  {python}")
    _say(f"over HTTP:  {known} mlflow models serve -m {uri} --env-manager local --port {_PORT}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
