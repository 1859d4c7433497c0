"""A network in a folder, as MLflow keeps models: it loads without reglab, and nothing in it is unpickled."""

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
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from torch import nn
from torch.export import ExportedProgram

PROMPT = "The "
_ARCHIVE = "data/model.pt2"
# MLflow strips each answer, and no setting of a text generator keeps it from that.
WHITESPACE = (
    "lost at both ends of an answer; return_full_text=true answers with prompt and text, and keeps what is between"
)


def save_graph(
    folder: Path, program: ExportedProgram, inputs: np.ndarray, outputs: np.ndarray, metadata: Mapping[str, Any]
) -> None:
    """Save a network of tensors as the archive of ``torch.export``, and the program that answers with it.

    MLflow's own flavor keeps rows of data in the archive as a pickle, and stack traces with the paths of this machine;
    where it is to read no pickle, it refuses the archive that holds none. So `graph_model` loads it.

    Args:
        folder: is made.
        program: traced for any number of rows, without example inputs.
        inputs: some rows (two or more, *shape), the input example.
        outputs: its answers to them, rows first.
        metadata: for users of the model; plain values.

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
    if pickled := _pickled(archive):
        raise ValueError(f"cannot be stored without a pickle: {', '.join(pickled[:3])}")
    model = Model.load(str(folder))
    flavor = model.flavors["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name  # MLflow writes the path on this machine
    flavor["artifacts"] = {"graph": {"path": _ARCHIVE, "uri": _ARCHIVE}}
    flavor.pop("cloudpickle_version")
    model.add_flavor("pytorch", model_data=str(Path(_ARCHIVE).parent), pytorch_version=version("torch"), code=None)
    model.save(str(folder / "MLmodel"))


def _pickled(archive: Path) -> list[str]:
    """Return the names of the tensors and objects that are pickles in the archive."""
    found = []
    with zipfile.ZipFile(archive) as members:
        for name in members.namelist():
            if name.endswith("_config.json"):
                entries = json.loads(members.read(name))["config"]
                found += [key for key, entry in entries.items() if entry["use_pickle"]]
            elif "/sample_inputs/" in name and members.getinfo(name).file_size:
                found.append("sample inputs")
    return found


def save_decoder(
    folder: Path, decoder: nn.Module, tokenizer: object, metadata: Mapping[str, Any], longest: int
) -> None:
    """A language model of the transformers library: weights as safetensors, text in and text out.

    Args:
        folder: is made.
        decoder: a ``PreTrainedModel``.
        tokenizer: a ``PreTrainedTokenizerFast``.
        metadata: what a user of the model wants to know; plain values. What MLflow does to whitespace is added.
        longest: new tokens at the most, unless a request says otherwise.
    """
    import mlflow.transformers

    text = Schema([ColSpec(DataType.string)])
    asked = [
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
            signature=ModelSignature(text, text, ParamSchema(asked)),
            pip_requirements=_requirements("torch", "transformers", "numpy"),
            metadata={**metadata, "whitespace": WHITESPACE},
        )
    (folder / "LICENSE.txt").unlink(missing_ok=True)  # MLflow's words on a repository that there is none of


def _rows(array: np.ndarray) -> TensorSpec:
    return TensorSpec(array.dtype, (-1, *array.shape[1:]))


def _requirements(*packages: str) -> Sequence[str]:
    """The versions in use, without what names a build (``+cpu``), which no index has."""
    return [f"{package}=={version(package).partition('+')[0]}" for package in ("mlflow", *packages)]


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow tells of defaults and of hubs that nobody asked for."""
    logger = logging.getLogger("mlflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
