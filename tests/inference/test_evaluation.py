"""Tracked runs evaluated again, with dropout on."""

from pathlib import Path

import pytest

from reglab.config.compose import compose
from reglab.errors import ConfigError
from reglab.inference.evaluation import evaluate, show
from reglab.tracking import queries
from reglab.tracking.store import Store, open_store
from reglab.training.run import run
from tests.conftest import fresh_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Store:
    return open_store(fresh_store(empty_database, tmp_path_factory.mktemp("evaluated")), "reglab")


def trained(store: Store, *overrides: str) -> str:
    line = ["trainer.max_epochs=3", "trainer.progress=false", f"tracking.uri={store.uri}", *overrides]
    return run(compose(line), line).run_id


@pytest.mark.parametrize("data", ["wine", "diabetes"])
def test_inference_is_what_was_tracked_and_passes_say_more(
    store: Store, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = trained(store, f"data={data}", "regularizer=[dropout,l2]", "regularizer.dropout.input_p=0.1")
    plain, passes = evaluate(store.uri, run_id, 20, seed=0)
    tracked = queries.get(store, run_id)
    assert tracked is not None
    assert plain == {name: tracked.metrics[f"test/{name}"] for name in plain}
    assert evaluate(store.uri, run_id, 20, seed=0) == (plain, passes)
    assert evaluate(store.uri, run_id, 20, seed=1)[1] != passes
    if data == "wine":
        assert 0 < passes["mutual_information"] < passes["entropy"]
    else:
        assert passes["spread"] > 0
        assert passes["rmse"] == pytest.approx(plain["rmse"], rel=0.2)
    show(plain, passes, 20)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["test", "inference", "20", "passes"]
    assert {line.split()[0] for line in lines[1:]} == {*plain, *passes}


def test_what_drops_nothing_is_refused(store: Store) -> None:
    still = trained(store, "data=wine", "regularizer=l2")
    with pytest.raises(ConfigError, match=rf"^run_id={still}: nothing in the strategy l2 and its model drops"):
        evaluate(store.uri, still, 5, seed=0)
    bare = trained(store, "data=wine", "regularizer=dropout", "tracking.weights=none")
    with pytest.raises(ConfigError, match=rf"^run_id={bare}: kept no weights"):
        evaluate(store.uri, bare, 5, seed=0)
    untested = trained(store, "data=wine", "regularizer=dropout", "data.test_fraction=0")
    with pytest.raises(ConfigError, match=rf"^run_id={untested}: has no test rows"):
        evaluate(store.uri, untested, 5, seed=0)
