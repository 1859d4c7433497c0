"""What an exported model says of itself, to people who have no reglab."""

import inspect
from typing import Any

from tokenizers import Tokenizer

from reglab.data.base import TensorData
from reglab.data.tokenizer import UNKNOWN
from reglab.tasks import LanguageModeling
from reglab.tracking.queries import Record

ANSWERS = {
    "classification": "probabilities of the classes",
    "regression": "the target in its own units",
    LanguageModeling.kind: "the text that goes on with a prompt, without the prompt",
}
FEATURES = "inputs.json"  # beside the model: what each input is made from
_ENTRIES = (
    f"one for each entry of {FEATURES}, in order: (x - mean) / scale, where x is what the column holds, or missing "
    "where it holds nothing (0 where scale is null); of an entry with a value: 1 where the column holds it, else 0"
)
_JUDGES = ("best/val/accuracy", "best/val/rmse", "best/val/bits_per_character", "best/val/loss")


def about(record: Record) -> str:
    """A run in a line: what was trained on what, and how good it is."""
    tags = record.tags
    judged = next((f", {name} {record.metrics[name]:.4g}" for name in _JUDGES if name in record.metrics), "")
    return f"{tags.get('strategy')} on {tags.get('data')} {tags.get('model')}{judged}"


def of_run(record: Record) -> dict[str, Any]:
    """What the run says of a model, as plain values."""
    tags = record.tags
    names = ("strategy", "data", "model", "seed", "config_hash", "git_commit")
    return {
        "description": about(record),
        "run_id": record.run_id,
        **{name: tags[name] for name in names if name in tags},
        "kind": tags["task"],  # "task" is a word of MLflow's own
        "answers": ANSWERS[tags["task"]],
        "metrics": {name: record.metrics[name] for name in _JUDGES if name in record.metrics},
    }


def of_vocabulary(vocabulary: Tokenizer) -> dict[str, str]:
    """What becomes of characters that a decoder's tokenizer does not have."""
    if vocabulary.token_to_id(UNKNOWN) is None:
        return {}
    return {"unknown": f"a character that was not in the text is read as {UNKNOWN}, of which nothing was learnt"}


def of_data(data: TensorData) -> dict[str, Any]:
    """What a user must know of inputs and answers; in words of the first paragraph on the class of the data."""
    words = inspect.cleandoc(type(data).__doc__ or "").partition("\n\n")[0]
    inputs = {"shape": list(data.input_shape), "dtype": "float32", "as": " ".join(words.split())}
    if data.features():
        inputs["features"] = _ENTRIES
    if data.kind == "classification":
        return {"inputs": inputs, "classes": list(data.class_names or map(str, range(data.outputs)))}
    return {"inputs": inputs, "target": {"mean": data.target_mean, "scale": data.target_scale}}
