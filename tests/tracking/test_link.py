import dataclasses

import pytest

from reglab.config.compose import compose
from reglab.tracking.store import Store
from reglab.tracking.view import DEFAULT_EXPERIMENT, UI_PORT, run_link


def test_database_names_the_command_and_the_path(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path = f"http://127.0.0.1:5000/#/experiments/{store.experiment_id}/runs/abc"
    override = f"tracking.experiment={store.experiment}"
    assert run_link(store, "abc") == f'{path} (after: make ui ARGS="tracking.uri={store.uri} {override}")'
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    assert run_link(store, "abc") == f'{path} (after: make ui ARGS="{override}")'
    default = dataclasses.replace(store, experiment=DEFAULT_EXPERIMENT)
    assert run_link(default, "abc") == f"{path} (after: make ui)"


def test_defaults_are_those_of_the_configs() -> None:
    assert compose().tracking.experiment == DEFAULT_EXPERIMENT
    assert compose(config_name="ui").ui.port == UI_PORT


def test_server_has_an_address_without_credentials(store: Store) -> None:
    remote = dataclasses.replace(store, uri="https://me:secret@lab.org/mlflow", experiment_id="7")
    assert run_link(remote, "abc") == "https://lab.org/mlflow/#/experiments/7/runs/abc"
