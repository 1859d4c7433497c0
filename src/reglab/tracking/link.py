"""How a person opens a run in the MLflow UI."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reglab.tracking.uri import locate, without_password

if TYPE_CHECKING:
    from reglab.tracking.store import Store


def run_path(experiment_id: str, run_id: str) -> str:
    """The part of the UI's address that shows one run."""
    return f"#/experiments/{experiment_id}/runs/{run_id}"


def run_link(store: "Store", run_id: str) -> str:
    """The run's address on a server; for a database the command that serves it and the path to open there."""
    path = run_path(store.experiment_id, run_id)
    if store.uri.startswith("http"):
        parts = urlsplit(store.uri)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}/{path}"
    if store.uri == locate(None).uri:
        return f"make ui, then {path}"
    return f'make ui ARGS="tracking.uri={without_password(store.uri)}", then {path}'
