"""Regularizers, one per file: a pure function, and a thin class that applies it in the steps of training.

All files without a leading underscore are imported, and their `Regularizer` classes are exported by this package. To
add a regularizer, add a file.
"""

from importlib import import_module
from inspect import isclass
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from reglab.regularizers._order import in_order
from reglab.regularizers.base import Regularizer, Step, penalized

__all__ = ["Regularizer", "Step", "in_order", "penalized"]


def _methods(module: ModuleType) -> dict[str, Any]:
    """Return the regularizers that a module defines, by class name."""
    classes = {name: value for name, value in vars(module).items() if isclass(value)}
    return {
        name: value
        for name, value in classes.items()
        if value.__module__ == module.__name__ and issubclass(value, Regularizer) and value is not Regularizer
    }


for _file in iter_modules(__path__):
    if not _file.name.startswith("_"):
        _classes = _methods(import_module(f"{__name__}.{_file.name}"))
        globals().update(_classes)
        __all__ += _classes
