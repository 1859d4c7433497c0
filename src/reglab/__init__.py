"""A lab for comparing regularization strategies.

In other projects: ``from reglab import Regularize, Dropout, L1``. Names are imported when they are first used,
because importing torch and Lightning takes seconds.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "Regularize":
        return import_module("reglab.training.regularize").Regularize
    if name[:1].isupper():  # a class; modules are found by the import system
        regularizers = import_module("reglab.regularizers")
        if name in regularizers.__all__:
            return getattr(regularizers, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
