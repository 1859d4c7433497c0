"""Data sets, one LightningDataModule a file; imported on first use, so that configs are checked without torch.

The other modules: `base` (the base class), `source` (a data set before it is split), `splitting`, `tables` (the base
class of tables, parsing, encoding), `preprocessing` and `scaling` (inputs fitted on training rows), `batches`,
`images`, `tokenizer`, `hub` (Hugging Face), `files` and `settings` (checks of a config).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reglab.data.base import TensorData
    from reglab.data.batches import Batches
    from reglab.data.breast_cancer import BreastCancer
    from reglab.data.csv import Csv
    from reglab.data.diabetes import Diabetes
    from reglab.data.digits import Digits
    from reglab.data.huggingface import Huggingface
    from reglab.data.huggingface_text import HuggingfaceText
    from reglab.data.idx import Idx
    from reglab.data.image_folder import ImageFolder
    from reglab.data.khan import Khan
    from reglab.data.mnist1d import Mnist1d
    from reglab.data.mnist5k import Mnist5k
    from reglab.data.nci60 import Nci60
    from reglab.data.openml import Openml
    from reglab.data.python_docs import PythonDocs
    from reglab.data.seed_noise import SeedNoise
    from reglab.data.source import Part, Source
    from reglab.data.spoken_digits import SpokenDigits
    from reglab.data.text import Text
    from reglab.data.wine import Wine

_HOME = {
    "Batches": "batches",
    "BreastCancer": "breast_cancer",
    "Csv": "csv",
    "Diabetes": "diabetes",
    "Digits": "digits",
    "Huggingface": "huggingface",
    "HuggingfaceText": "huggingface_text",
    "Idx": "idx",
    "ImageFolder": "image_folder",
    "Khan": "khan",
    "Mnist1d": "mnist1d",
    "Mnist5k": "mnist5k",
    "Nci60": "nci60",
    "Openml": "openml",
    "Part": "source",
    "PythonDocs": "python_docs",
    "SeedNoise": "seed_noise",
    "Source": "source",
    "SpokenDigits": "spoken_digits",
    "TensorData": "base",
    "Text": "text",
    "Wine": "wine",
}

__all__ = [
    "Batches",
    "BreastCancer",
    "Csv",
    "Diabetes",
    "Digits",
    "Huggingface",
    "HuggingfaceText",
    "Idx",
    "ImageFolder",
    "Khan",
    "Mnist1d",
    "Mnist5k",
    "Nci60",
    "Openml",
    "Part",
    "PythonDocs",
    "SeedNoise",
    "Source",
    "SpokenDigits",
    "TensorData",
    "Text",
    "Wine",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
