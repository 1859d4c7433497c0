"""Regularizers, one a file: a pure function, then a thin class that hangs it on the steps of training.

Every file without a leading underscore is imported, and its classes are names of this package: a new file is enough.
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
    found = {name: value for name, value in vars(module).items() if isclass(value)}
    own = {name: value for name, value in found.items() if value.__module__ == module.__name__}
    return {name: value for name, value in own.items() if issubclass(value, Regularizer) and value is not Regularizer}


for _file in iter_modules(__path__):
    if not _file.name.startswith("_"):
        _found = _methods(import_module(f"{__name__}.{_file.name}"))
        globals().update(_found)
        __all__ += _found
