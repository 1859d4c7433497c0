"""Real sqlite stores, without paying three seconds for the schema in every test."""

from collections.abc import Callable

import pytest

from reglab.tracking.store import Store, open_store


@pytest.fixture
def new_store(store_uri: str) -> Callable[[str], Store]:
    """Makes a store with an experiment of the given name in the test's own folder."""
    return lambda experiment: open_store(store_uri, experiment)


@pytest.fixture
def store(new_store: Callable[[str], Store]) -> Store:
    return new_store("exp")
