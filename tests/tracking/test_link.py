import dataclasses

import pytest

from reglab.tracking.link import DEFAULT_EXPERIMENT, run_link
from reglab.tracking.store import Store


def test_database_names_the_command_and_the_path(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path = f"#/experiments/{store.experiment_id}/runs/abc"
    named = f"tracking.experiment={store.experiment}"
    assert run_link(store, "abc") == f'make ui ARGS="tracking.uri={store.uri} {named}", then {path}'
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    assert run_link(store, "abc") == f'make ui ARGS="{named}", then {path}'
    usual = dataclasses.replace(store, experiment=DEFAULT_EXPERIMENT)
    assert run_link(usual, "abc") == f"make ui, then {path}"


def test_server_has_an_address_without_credentials(store: Store) -> None:
    remote = dataclasses.replace(store, uri="https://me:secret@lab.org/mlflow", experiment_id="7")
    assert run_link(remote, "abc") == "https://lab.org/mlflow/#/experiments/7/runs/abc"
