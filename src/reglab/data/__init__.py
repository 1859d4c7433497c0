"""Data sets, one LightningDataModule per file: ``BreastCancer`` is in ``breast_cancer.py``, and so on.

A module is imported when its class is first used, so that configs are checked without torch.

The other modules: `base` (the base class), `source` (a data set before it is split), `splitting`, `tables` (the base
class of tables, parsing, encoding), `preprocessing` (inputs fitted on training rows), `batches`,
`images`, `tokenizer`, `hub` (Hugging Face), `files` and `settings` (checks of a config).
"""

import re
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def __getattr__(name: str) -> Any:
    module = f"{__name__}.{re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name).lower()}"
    if name[:1].isupper() and find_spec(module) is not None:
        return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
