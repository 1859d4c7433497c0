"""Damaged files of a tracked run: error messages that name the run and the file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reglab.inference.evaluation import evaluate
from reglab.inference.loading import load_decoder
from reglab.schema.errors import ConfigError
from reglab.study.rerun import rerun
from reglab.tracking import artifacts, queries
from reglab.tracking.store import Store, open_store
from tests.conftest import fresh_store
from tests.errors import check_error
from tests.inference.test_trained import trained

BROKEN = {
    "config.yaml": [b"{", b"[1]", b"\xff\xfe", b"a: [", b"%", b"[" * 5000],
    "overrides.yaml": [b"{", b"{a: 1}", b"[1, 2]", b"\xff\xfe", b"\0"],
    "environment.json": [b"{", b"[]", b"\xff\xfe", b"NaN", b"[" * 100_000],
    "weights/best.safetensors": [b"", b"\0" * 7, b"\xff" * 8, b"PK\x03\x04"],
    "tokenizer.json": [b"", b"{", b"[]", b"\xff\xfe", b"{}"],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Store:
    return open_store(fresh_store(empty_database, tmp_path_factory.mktemp("damaged")), "mine")


@pytest.fixture(scope="module")
def run_id(store: Store) -> str:
    return trained(store, "regularizer=residual_dropout")


@contextmanager
def damaged(store: Store, run_id: str, path: str, content: bytes) -> Iterator[None]:
    folder = artifacts.of_run(store, run_id).dir
    assert folder is not None
    before = (folder / path).read_bytes()
    (folder / path).write_bytes(content)
    try:
        yield
    finally:
        (folder / path).write_bytes(before)


def reader(path: str) -> Callable[[Store, str], object]:
    if path in ("weights/best.safetensors", "tokenizer.json"):
        return lambda store, run_id: load_decoder(store.uri, run_id)
    return lambda store, run_id: rerun(store.uri, run_id)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "content"), [(path, some) for path, every in BROKEN.items() for some in every])
def test_a_damaged_file_is_named_with_its_run(store: Store, run_id: str, path: str, content: bytes) -> None:
    before = len(queries.runs(store))
    with damaged(store, run_id, path, content), pytest.raises(ConfigError) as caught:
        reader(path)(store, run_id)
    text = str(caught.value)
    assert text.startswith(f"run_id={run_id}: {path}")
    assert "\n" not in text
    assert len(queries.runs(store)) == before


def test_a_run_is_not_evaluated_where_a_file_is_damaged(store: Store, run_id: str) -> None:
    with damaged(store, run_id, "environment.json", b"{"), pytest.raises(ConfigError) as caught:
        evaluate(store.uri, run_id, 2, 0, None)
    assert str(caught.value).startswith(f"run_id={run_id}: environment.json is damaged")


def test_a_run_of_another_experiment_than_the_one_named_is_refused(store: Store, run_id: str) -> None:
    for act in (
        lambda: rerun(store.uri, run_id, experiment="other"),
        lambda: evaluate(store.uri, run_id, 2, 0, experiment="other"),
    ):
        with pytest.raises(ConfigError) as caught:
            act()
        check_error(caught.value, f"tracking.experiment=other: run {run_id} is in mine ... leave it out")
