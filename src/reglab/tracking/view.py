"""Pages of MLflow's UI: the address of a run, and the saved view with which an experiment opens.

The view groups runs by strategy, with test and validation charts. MLflow keeps a saved view as an experiment tag, whose
format here is that of MLflow 3.17.
"""

import base64
import contextlib
import json
import time
import zlib
from typing import Any
from urllib.parse import quote, urlsplit

from mlflow import MlflowClient
from mlflow.entities import Run

from reglab.masking import mask_uri
from reglab.schema.metrics import HEADLINES, METRICS, base_name, direction_of, metrics_of
from reglab.schema.task_kinds import CLASSIFICATION
from reglab.tracking import queries
from reglab.tracking.location import parse_location
from reglab.tracking.store import Store
from reglab.wording import make_command

UI_PORT = 5000  # as in conf/ui.yaml
DEFAULT_EXPERIMENT = "reglab"  # as in conf/tracking/local.yaml
KEY = "reglab"
NAME = "Strategies compared"
PAGE = 100  # runs that MLflow's page loads at first

_TAG = f"mlflow.sharedViewState.{KEY}"
_HEADER = "deflate;"
_LARGEST = 2**20  # characters of a view, packed and unpacked
_OTHERS = tuple(f"test/{metric.name}" for metric in METRICS.values() if metric.summary and metric.name != "loss")
_TEST = tuple(dict.fromkeys((*HEADLINES, *_OTHERS, "test/loss")))
_BARS = tuple(dict.fromkeys((*HEADLINES, "gap/loss", *_TEST)))
_CURVES = ("val/loss", *(f"val/{base_name(name)}" for name in HEADLINES), "train/loss")
_EXPECTED = {  # metrics of a classification, while there is no run
    *(f"test/{metric.name}" for metric in metrics_of(CLASSIFICATION.name) if metric.summary),
    *("gap/loss", "val/loss", "val/accuracy", "train/loss"),
}
_COLUMNS = 3  # MLflow's assistant opens beside them, where four columns would be too narrow to read
_OPEN = ("test", "val")
_FOLDED = ("more of test", "train", "time", "model")  # sections that a click opens


def run_path(experiment_id: str, run_id: str) -> str:
    """Return the part of the UI's address that shows a run."""
    return f"#/experiments/{experiment_id}/runs/{run_id}"


def run_link(store: Store, run_id: str) -> str:
    """Return a run's address on a server; for a database the address at which `make ui` serves it by default."""
    path = run_path(store.experiment_id, run_id)
    if store.uri.startswith("http"):
        parts = urlsplit(store.uri)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}/{path}"
    return f"http://127.0.0.1:{UI_PORT}/{path} (after: {ui_command(store)})"


def ui_command(store: Store) -> str:
    """Return the command that shows these runs."""
    changed = {
        "tracking.uri": None if store.uri == parse_location(None).uri else mask_uri(store.uri),
        "tracking.experiment": None if store.experiment == DEFAULT_EXPERIMENT else store.experiment,
    }
    return make_command("ui", changed)


def save(client: MlflowClient, experiment_id: str) -> str:
    """Save the view, if it is missing or no longer fits the runs, and return its key."""
    wanted = state(client, experiment_id)
    old = client.get_experiment(experiment_id).tags.get(_TAG)
    created = now = round(time.time() * 1000)
    if old is not None:
        with contextlib.suppress(ValueError):  # MLflow could not show such a view either
            if decode(old) == wanted:
                return KEY
            created = json.loads(old)["createdAt"]
    client.set_experiment_tag(experiment_id, _TAG, encode(wanted, created, now))
    return KEY


def encode(view: dict[str, Any], created: int, updated: int) -> str:
    """Return a view's state as the value of the experiment's tag; times in milliseconds since the epoch."""
    packed = base64.b64encode(zlib.compress(json.dumps(view).encode(), 9)).decode()
    return json.dumps({"name": NAME, "createdAt": created, "updatedAt": updated, "state": _HEADER + packed})


def decode(value: str) -> dict[str, Any]:
    """Return the state of a view that `encode` encoded.

    Raises:
        ValueError: not a saved view.
    """
    if len(value) > _LARGEST:
        raise ValueError(f"not a saved view: {len(value)} characters")
    try:
        match json.loads(value):
            case {"name": str(), "createdAt": int(), "state": str(packed)}:
                unpacked = zlib.decompressobj()
                text = unpacked.decompress(base64.b64decode(packed.removeprefix(_HEADER), validate=True), _LARGEST)
                if unpacked.eof:
                    return json.loads(text)
    except (zlib.error, RecursionError) as error:
        raise ValueError(f"not a saved view: {error}") from error
    raise ValueError(f"not a saved view: {value[:80]}")


def link(server: str, experiment_id: str, key: str = KEY) -> str:
    """Return the address that opens the view on its charts, in any browser; a user and password are left out."""
    parts = urlsplit(server)
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    query = f"workflowType=machine_learning&viewStateShareKey={quote(key)}&compareRunsMode=CHART"
    return f"{base}/#/experiments/{experiment_id}/runs?{query}"


def first_page(client: MlflowClient, experiment_id: str) -> tuple[list[Run], bool]:
    """Return the runs that the view opens with, newest first, and whether there are more."""
    newest = ["attributes.start_time DESC"]
    runs = queries.search(
        client, [experiment_id], _filter(client, experiment_id), max_results=PAGE + 1, order_by=newest
    )
    return runs[:PAGE], len(runs) > PAGE


def mixed_strengths(runs: list[Run]) -> list[str]:
    """Return the strengths (`regularizer.dropout.p`) that differ within a strategy, so that its means mix them.

    The page could group by them as well, but would then name each group by too many keys to be readable.
    """
    values: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        for name, value in run.data.params.items():
            if name.startswith("regularizer."):
                values.setdefault((name, run.data.tags["strategy"]), set()).add(value)
    return sorted({name for (name, _), seen in values.items() if len(seen) > 1})


def state(client: MlflowClient, experiment_id: str) -> dict[str, Any]:
    """Return the state of the page for the experiment's runs: their metrics, data sets and models."""
    runs, more = first_page(client, experiment_id)
    metrics = {name for run in runs for name in run.data.metrics} or _EXPECTED
    groups = _groups(runs)
    # Sorted by the headline metric, the groups form a leaderboard; of too many runs the page would load only the best.
    headline = next((name for name in HEADLINES if name in metrics), None)
    by_metric = headline is not None and not more
    return {
        "searchFilter": _filter(client, experiment_id),
        # In backticks: a plain attributes.start_time makes the page fetch the parents as well.
        "orderByKey": f"metrics.`{headline}`" if by_metric else "attributes.`start_time`",
        "orderByAsc": by_metric and direction_of(str(headline)) == "min",
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": g} for g in groups]},
        "groupsExpanded": {_group_id(run, groups): False for run in runs},
        "useGroupedValuesInCharts": True,
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
        "selectedColumns": _columns(metrics),
        "compareRunSections": _sections(),
        "compareRunCharts": _charts(metrics),
        "isAccordionReordered": True,  # keeps the sections in this order
    }


def _filter(client: MlflowClient, experiment_id: str) -> str:
    """Return the filter: parents have no strategy; tuning runs and reruns must not enter a mean."""
    clauses = ["tags.strategy != ''"]
    for present, clause in (
        ("tags.phase = 'tune'", "tags.phase != 'tune'"),
        ("tags.rerun_of != ''", "tags.rerun_of IS NULL"),
    ):
        if queries.search(client, [experiment_id], present, max_results=1):
            clauses.append(clause)
    return " AND ".join(clauses)


def _groups(runs: list[Run]) -> list[str]:
    """Return the tags to group by: the strategy; or the tag `cell` if data, model or axes differ within the runs.

    Several tags would make names so long that the page cuts off the strategy: only runs without a cell need them.
    """
    cells = [run.data.tags.get("cell", "") for run in runs]
    if all(cells):
        return ["strategy" if len({cell.partition(" on ")[2] for cell in cells}) <= 1 else "cell"]
    return ["strategy", *(tag for tag in ("data", "model") if len({run.data.tags.get(tag) for run in runs}) > 1)]


def _group_id(run: Run, groups: list[str]) -> str:
    """Return MLflow's id of the group that a run belongs to."""
    return ",".join(f"tag.{group}.{run.data.tags.get(group) or 'null'}" for group in groups)


def _columns(metrics: set[str]) -> list[str]:
    tags = [f"tags.`{name}`" for name in ("strategy", "data", "model", "seed")]
    return [*tags, *(f"metrics.`{name}`" for name in _TEST if name in metrics)]


def _sections() -> list[dict[str, Any]]:
    return [
        {"uuid": name, "name": name, "display": name in _OPEN, "columns": _COLUMNS, "isReordered": True}
        for name in (*_OPEN, *_FOLDED)
    ]


def _charts(metrics: set[str]) -> list[dict[str, Any]]:
    """Return bars for metrics measured once, and lines over the epochs; MLflow itself adds the other metrics."""
    bars = [name for name in _BARS if name in metrics]
    # One row of bars, so that the curves are on the first screen too.
    cards = [_card(name, "BAR", "test") for name in bars[:_COLUMNS]]
    cards += [_card(name, "BAR", "more of test") for name in bars[_COLUMNS:]]
    return cards + [_card(name, "LINE", "val") for name in _CURVES if name in metrics]


def _card(metric: str, kind: str, section: str) -> dict[str, Any]:
    card = {
        "uuid": metric,
        "type": kind,
        "metricKey": metric,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 10,
    }
    if kind == "LINE":
        card |= {
            "selectedMetricKeys": [metric],
            "xAxisKey": "step",
            "xAxisScaleType": "linear",
            "scaleType": "linear",
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "range": {},
            "lineSmoothness": 0,
            "displayPoints": False,
            "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
            "ignoreOutliers": False,
        }
    return card
