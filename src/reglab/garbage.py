"""Pause Python's garbage collector."""

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_gc() -> Iterator[None]:
    """Pause garbage collection in the block, for code that creates many objects that all stay in use.

    Searching them for garbage takes longer than creating them: reading 10,000 runs from a database takes 20 s with
    it and 8 s without.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def import_libraries(*modules: str) -> None:
    """Import modules and all that they import, while garbage collection is paused; what they define is never garbage.

    torch, Lightning and MLflow take 4.2 s in this way, and 7 s with garbage collection.
    """
    with paused_gc():
        for module in modules:
            importlib.import_module(module)
    gc.freeze()
