"""Fixtures of SQLite stores, copied from a database that has the schema already."""

from collections.abc import Callable

import pytest

from reglab.tracking.store import Store, open_store


@pytest.fixture
def new_store(store_uri: str) -> Callable[[str], Store]:
    """Return a function that opens a store with the named experiment in the folder of the test."""
    return lambda experiment: open_store(store_uri, experiment)


@pytest.fixture
def store(new_store: Callable[[str], Store]) -> Store:
    return new_store("exp")
