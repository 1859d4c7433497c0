"""Queries for runs (without MLflow's limit of 1,000 rows, and without deleted runs) and for histories of metrics."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run, ViewType
from mlflow.exceptions import MlflowException

from reglab.compat.mlflow import PagedList, metric_rows, session_maker
from reglab.garbage import paused_gc
from reglab.schema.errors import ConfigError
from reglab.schema.text import first_line
from reglab.streams import note
from reglab.tracking import artifacts, liveness
from reglab.tracking.client import display_uri, query_with_retries
from reglab.tracking.store import Store
from reglab.tracking.values import artifact_of_cut_tag, json_object

_PAGE = 1000
_ONE_BY_ONE = 100  # MLflow has no IN for tags: up to here a query a hash (5 ms) is faster than reading all runs
# Incomplete rows, left by a killed process or another program: one of them makes the whole search fail.
_COMPLETE = "attributes.start_time > 0 AND attributes.status LIKE '%' AND attributes.user_id LIKE '%'"
_incomplete: set[tuple[str, ...]] = set()  # stores and experiments with incomplete rows
History = list[tuple[int, float]]  # (step, value) pairs
ReadHistories = Callable[[Sequence[str], Sequence[str]], Mapping[str, Mapping[str, History]]]
Histories = dict[str, dict[str, History]]  # by metric and run id
_RUNS_PER_QUERY = 200  # databases limit the number of values in a query
_THREADS = 8


@dataclass(frozen=True)
class Record:
    """A run as it was logged. Times are seconds since the epoch; `ended` is None while it runs."""

    run_id: str
    status: str
    tags: dict[str, str] = field(repr=False)
    params: dict[str, str] = field(repr=False)
    metrics: dict[str, float] = field(repr=False)
    started: float
    ended: float | None

    @property
    def name(self) -> str:
        """The run's name in the UI."""
        return self.tags.get("mlflow.runName", self.run_id)


def runs(
    store: Store | MlflowClient,
    experiment_id: str | None = None,
    filter: str = "",
    *,
    status: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> list[Record]:
    """Return all runs that match, oldest first.

    Args:
        store: a store, or MLflow's client together with `experiment_id`.
        experiment_id: default: the store's.
        filter: MLflow's filter language, added to the rest.
        status: FINISHED, FAILED, KILLED or RUNNING.
        tags: tags with exactly these values.
    """
    client = store.client if isinstance(store, Store) else store
    if experiment_id is None:
        if not isinstance(store, Store):
            raise ValueError("give experiment_id together with a client")
        experiment_id = store.experiment_id
    clauses = [clause for clause in (filter, status and f"attributes.status = '{status}'") if clause]
    wanted = dict(tags or {})
    # A value with both kinds of quotes cannot be written in the filter: all values are checked below.
    clauses += [f"tags.`{key}` = {_quoted(value)}" for key, value in wanted.items() if _quoted(value)]
    records = (_record(run) for run in _pages(client, experiment_id, " AND ".join(clauses)))
    matching = [record for record in records if all(record.tags.get(key) == value for key, value in wanted.items())]
    return list({record.run_id: record for record in matching}.values())  # a run added meanwhile can shift the pages


def run(store: Store, run_id: str) -> Record:
    """Return a run by its id.

    Raises:
        MlflowException: there is none; see `get`.
    """
    return _record(store.client.get_run(run_id))


def finished(store: Store, config_hashes: Sequence[str]) -> dict[str, Record]:
    """Return the newest FINISHED run of each identity that has one; reruns (tag `rerun_of`) are ignored."""
    wanted = list(dict.fromkeys(config_hashes))
    if len(wanted) <= _ONE_BY_ONE:
        records = [
            r for config_hash in wanted for r in runs(store, status="FINISHED", tags={"config_hash": config_hash})
        ]
    else:
        wanted_set = set(wanted)
        records = [r for r in runs(store, status="FINISHED") if r.tags.get("config_hash") in wanted_set]
    newest = {r.tags["config_hash"]: r for r in records if "rerun_of" not in r.tags}
    return {config_hash: newest[config_hash] for config_hash in wanted if config_hash in newest}


def finished_of_recipes(store: Store, recipes: Sequence[str]) -> list[Record]:
    """Return FINISHED runs of these recipes with any code and libraries, oldest first, without reruns.

    A run of the first identity rule has no tag `recipe_hash`: its `config_hash` is the same.
    """
    tags, recipe_set = ("recipe_hash", "config_hash"), set(recipes)
    if len(recipe_set) <= _ONE_BY_ONE:
        records = [
            r
            for recipe in sorted(recipe_set)
            for tag in tags
            for r in runs(store, status="FINISHED", tags={tag: recipe})
        ]
    else:
        records = [r for r in runs(store, status="FINISHED") if recipe_set & {r.tags.get(tag) for tag in tags}]
    originals = {r.run_id: r for r in records if "rerun_of" not in r.tags}
    return sorted(originals.values(), key=lambda r: r.started)


def reusable(store: Store, config_hash: str) -> Record | None:
    """Return a run of an identity that can be used instead of training it; None if there is none.

    It is the newest FINISHED run, else a RUNNING run of another living process; reruns do not count. A note names each
    RUNNING run that is not waited for, and why. Call it under the store's lock, and open a run before releasing that.
    """
    records = [r for r in runs(store, tags={"config_hash": config_hash}) if "rerun_of" not in r.tags]
    done = [r for r in records if r.status == "FINISHED"]
    if done:
        return done[-1]
    if (running := next((r for r in records if is_in_progress(r)), None)) is not None:
        return running
    for record in records:
        if record.status == "RUNNING" and not liveness.is_this_process(record.tags.get(liveness.OWNER_TAG)):
            why = liveness.reason_not_to_wait(record.tags)
            note(f"run {record.run_id} of the same config is RUNNING, and {why}: trained again without waiting for it")
    return None


def is_in_progress(record: Record) -> bool:
    """Return whether another process is training the run, as far as is known."""
    is_own = liveness.is_this_process(record.tags.get(liveness.OWNER_TAG))
    return record.status == "RUNNING" and not is_own and liveness.is_alive(record.tags)


def full_tag(store: Store, record: Record, tag: str) -> str | None:
    """Return the whole value of a tag, also if it is cut (see `values.within_limits`); None if there is none.

    A cut value is returned cut, with a note, if the run's file with the whole value cannot be read.
    """
    value = record.tags.get(tag)
    cut = artifact_of_cut_tag(tag, value) if value else None
    if value is None or cut is None:
        return value
    path, length = cut
    try:
        text = artifacts.of_run(store, record.run_id).read_text(path)
    except ConfigError as error:
        note(f"{error}: the tag {tag} is left out")
        return value
    return text if text is not None and len(text) == length else value


def about(store: Store, record: Record) -> dict[str, Any]:
    """Return the run's tag `about`, its setting by dotted key; empty if it has none that can be read."""
    return json_object(full_tag(store, record, "about"))


def code(store: Store, record: Record) -> dict[str, Any]:
    """Return the run's tag `code`, a digest for each part of its code; empty if it has none that can be read."""
    return json_object(full_tag(store, record, "code"))


def dead_identities(store: Store, config_hashes: Sequence[str]) -> set[str]:
    """Return the identities of runs marked KILLED because their process had ended; not of stopped runs."""
    wanted = set(config_hashes)
    killed = [record.tags for record in runs(store, status="KILLED") if "error" in record.tags] if wanted else []
    return {tags["config_hash"] for tags in killed if tags.get("config_hash") in wanted}


def get(store: Store, run_id: str) -> Record | None:
    """Return a run by its id, of any experiment; None if there is none, or it was deleted."""
    try:
        run = store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None
    return _record(run) if run.info.lifecycle_stage == LifecycleStage.ACTIVE else None


def history(client: MlflowClient, run_id: str, metric: str) -> list[tuple[int, float]]:
    """Return (step, value) of a metric in the order of steps; if a step was logged twice, the later value."""
    logged = sorted(client.get_metric_history(run_id, metric), key=lambda m: (m.step, m.timestamp))
    return list({m.step: (m.step, m.value) for m in logged}.values())


def mark_dead_runs_killed(store: Store) -> list[str]:
    """Mark RUNNING runs KILLED whose process has ended, or is silent on another host; return their ids.

    A read-only store is not changed.
    """
    killed: list[str] = []
    if store.read_only:
        return killed
    for record in runs(store, status="RUNNING"):
        if liveness.cause_of_death(record.tags) is None:
            continue
        try:
            # Read again: since the search the run may have ended, or sent a heartbeat.
            run = store.client.get_run(record.run_id)
            if run.info.status == "RUNNING" and (reason := liveness.cause_of_death(run.data.tags)):
                store.client.set_tag(record.run_id, "error", reason)
                store.client.set_terminated(record.run_id, "KILLED")
                killed.append(record.run_id)
        except MlflowException as error:  # of this run only: it was deleted, or is damaged
            line = first_line(error)
            note(f"run {record.run_id} could not be marked KILLED: {line}")
    return killed


def search(client: MlflowClient, experiments: list[str], filter: str = "", **options: Any) -> PagedList[Run]:
    """Return the result of `client.search_runs`; incomplete rows, which MLflow cannot read, are left out with a note.

    Args:
        client: MLflow's client.
        experiments: ids.
        filter: MLflow's filter language.
        options: arguments of `search_runs`.
    """
    incomplete = (display_uri(client), *experiments) in _incomplete
    if not incomplete:
        try:
            return client.search_runs(experiments, filter, **options)
        except MlflowException as error:
            if error.error_code != "INTERNAL_ERROR":
                raise
            problem = (str(error).strip().splitlines() or [""])[-1][:200]
    page = client.search_runs(experiments, " AND ".join(clause for clause in (filter, _COMPLETE) if clause), **options)
    if not incomplete:
        note(f"tracking.uri={display_uri(client)}: damaged runs are left out ({problem}); delete their rows")
        _incomplete.add((display_uri(client), *experiments))
    return page


def _pages(client: MlflowClient, experiment_id: str, filter: str) -> Iterator[Run]:
    token: str | None = None
    while True:
        with paused_gc():
            page = search(
                client,
                [experiment_id],
                filter,
                run_view_type=ViewType.ACTIVE_ONLY,
                max_results=_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
        yield from page
        token = page.token
        if not token:
            return


def _record(run: Run) -> Record:
    info, data = run.info, run.data
    ended = info.end_time / 1000 if info.end_time and info.status != "RUNNING" else None
    return Record(info.run_id, info.status, data.tags, data.params, data.metrics, info.start_time / 1000, ended)


def _quoted(value: str) -> str:
    """Return a value in quotes that it does not contain; empty if it contains both kinds."""
    return next((f"{quote}{value}{quote}" for quote in "'\"" if quote not in value), "")


def history_reader(client: MlflowClient) -> ReadHistories:
    """Return a function that reads the values of some metrics of some runs by step.

    Its arguments are run ids and names of metrics. From a database only the needed columns are read: MLflow's own
    query for many runs creates three objects for each value.
    """
    sessions = session_maker(client)

    def from_server(run_ids: Sequence[str], metrics: Sequence[str]) -> Histories:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_THREADS) as pool:
            values = {metric: pool.map(lambda r, m=metric: history(client, r, m), run_ids) for metric in metrics}
            return {metric: dict(zip(run_ids, by_run, strict=True)) for metric, by_run in values.items()}

    def from_database(run_ids: Sequence[str], metrics: Sequence[str]) -> Histories:
        from sqlalchemy import func

        assert sessions is not None
        rows = metric_rows()
        columns = (rows.key, rows.run_uuid, rows.timestamp, rows.step, rows.value)
        # `coalesce` makes SQLite use the index of runs, and not the one of keys, which contains the values of all runs.
        selected = func.coalesce(rows.key, "").in_(metrics)
        values: dict[str, dict[str, dict[int, float]]] = {key: {run_id: {} for run_id in run_ids} for key in metrics}
        with sessions() as session:
            for start in range(0, len(run_ids), _RUNS_PER_QUERY):
                batch = run_ids[start : start + _RUNS_PER_QUERY]
                query = session.query(*columns, rows.is_nan).filter(selected, rows.run_uuid.in_(batch))
                for key, run_id, _, step, value, is_nan in sorted(query.all(), key=itemgetter(2)):
                    values[key][run_id][step] = math.nan if is_nan else value  # the latest value of a step
        return {
            key: {run_id: sorted(by_step.items()) for run_id, by_step in by_run.items()}
            for key, by_run in values.items()
        }

    if sessions is None:
        return from_server
    return lambda run_ids, metrics: query_with_retries(client, from_database, run_ids, metrics)
