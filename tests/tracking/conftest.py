"""Real sqlite stores, without paying three seconds for the schema in every test."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from reglab.tracking.store import Store, open_store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that holds MLflow's schema and nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    open_store(f"sqlite:///{folder}/made.db", "unused")
    with closing(sqlite3.connect(folder / "made.db")) as connection:
        connection.execute("DELETE FROM experiments WHERE name = 'unused'")
        connection.commit()
        connection.execute("VACUUM INTO ?", (str(folder / "mlflow.db"),))
    return folder / "mlflow.db"


@pytest.fixture
def new_store(empty_database: Path, tmp_path: Path) -> Callable[[str], Store]:
    """Makes a store with an experiment of the given name in `tmp_path`."""

    def make(experiment: str = "exp") -> Store:
        database = tmp_path / "mlflow.db"
        if not database.exists():
            shutil.copy(empty_database, database)
        return open_store(f"sqlite:///{database}", experiment)

    return make


@pytest.fixture
def store(new_store: Callable[[str], Store]) -> Store:
    return new_store("exp")
