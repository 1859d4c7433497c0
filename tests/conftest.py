"""Fixtures that many tests share: a composed config, an empty tracking store, float64."""

import gc
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores
os.environ.pop("MLFLOW_TRACKING_URI", None)

import pytest
from omegaconf import DictConfig

from reglab.config.compose import compose

Compose = Callable[..., DictConfig]


def pytest_collection() -> None:
    """Pause garbage collection while tests and libraries are imported, which makes imports faster."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Resume garbage collection, without scanning the objects of imported modules."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Database with MLflow's empty tables, created once and copied, since creating it takes seconds."""
    from reglab.tracking.store import open_store

    folder = tmp_path_factory.mktemp("database")
    open_store(f"sqlite:///{folder}/mlflow.db", "unused")
    return folder / "mlflow.db"


def fresh_store(empty_database: Path, folder: Path) -> str:
    """Copy the empty database into a folder and return the URI of this sqlite store."""
    with closing(sqlite3.connect(empty_database)) as source, closing(sqlite3.connect(folder / "mlflow.db")) as copy:
        source.backup(copy)  # not a file copy: the last tables may still be in the write-ahead log
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture
def store_uri(tmp_path: Path, empty_database: Path) -> str:
    """URI of an empty sqlite store in ``tmp_path``."""
    return fresh_store(empty_database, tmp_path)


@pytest.fixture
def compose_cfg(store_uri: str) -> Compose:
    """Function that composes a run's config, tracked in ``tmp_path``: ``compose_cfg("regularizer=l1", "seed=3")``."""

    def make(*overrides: str) -> DictConfig:
        return compose([f"tracking.uri={store_uri}", "trainer.progress=false", *overrides])

    return make


@pytest.fixture
def double() -> Iterator[None]:
    """Make float64 the default dtype, for comparisons with exact results."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
