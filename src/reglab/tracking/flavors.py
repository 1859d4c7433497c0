"""A network in a folder, as MLflow keeps models: it loads without reglab, and nothing in it is unpickled."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from torch import nn

PROMPT = "The "
# MLflow strips each answer, and no setting of a text generator keeps it from that.
WHITESPACE = (
    "lost at both ends of an answer; return_full_text=true answers with prompt and text, and keeps what is between"
)


def save_graph(
    folder: Path, graph: nn.Module, inputs: np.ndarray, outputs: np.ndarray, metadata: Mapping[str, Any]
) -> None:
    """A network of tensors, as the archive of ``torch.export``.

    Args:
        folder: is made.
        graph: traced for any number of rows.
        inputs: some rows (two or more, *shape), the input example.
        outputs: what it says of them, rows first.
        metadata: what a user of the model wants to know; plain values.
    """
    import mlflow.pytorch

    with _quiet():
        mlflow.pytorch.save_model(
            graph,
            str(folder),
            serialization_format="pt2",
            input_example=inputs,
            signature=ModelSignature(Schema([_rows(inputs)]), Schema([_rows(outputs)])),
            pip_requirements=_requirements("torch", "numpy"),
            metadata=dict(metadata),
        )
    _on_cpu(folder)


def _on_cpu(folder: Path) -> None:
    """A graph stays on the device it was traced on, and MLflow would ask for a GPU wherever there is one."""
    told = Model.load(str(folder))
    told.flavors["python_function"]["config"]["device"] = "cpu"
    told.save(str(folder / "MLmodel"))


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
