"""How a person opens a run in the MLflow UI."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reglab.masking import mask_uri
from reglab.tracking.place import locate
from reglab.wording import make_command

if TYPE_CHECKING:
    from reglab.tracking.store import Store

UI_PORT = 5000  # as in conf/ui.yaml
DEFAULT_EXPERIMENT = "reglab"  # as in conf/tracking/local.yaml


def run_path(experiment_id: str, run_id: str) -> str:
    """The part of the UI's address that shows one run."""
    return f"#/experiments/{experiment_id}/runs/{run_id}"


def run_link(store: "Store", run_id: str) -> str:
    """The run's address on a server; for a database the address that `make ui` will serve it at, unless it is taken."""
    path = run_path(store.experiment_id, run_id)
    if store.uri.startswith("http"):
        parts = urlsplit(store.uri)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}/{path}"
    return f"http://127.0.0.1:{UI_PORT}/{path} (after: {ui_command(store)})"


def ui_command(store: "Store") -> str:
    """What a person types to browse these runs."""
    elsewhere = {
        "tracking.uri": None if store.uri == locate(None).uri else mask_uri(store.uri),
        "tracking.experiment": None if store.experiment == DEFAULT_EXPERIMENT else store.experiment,
    }
    return make_command("ui", elsewhere)
