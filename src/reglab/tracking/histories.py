"""Read the histories of many runs: with one query for all runs from a database, in parallel from a server."""

import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from reglab.compat.mlflow import session_maker
from reglab.tracking import queries
from reglab.tracking.client import query_with_retries

if TYPE_CHECKING:
    from mlflow import MlflowClient

History = list[tuple[int, float]]  # (step, value) pairs
Read = Callable[[Sequence[str], Sequence[str]], Mapping[str, Mapping[str, History]]]
Histories = dict[str, dict[str, History]]  # by metric and run id
_RUNS_PER_QUERY = 200  # databases limit the number of values in a query
_THREADS = 8


def history_reader(client: "MlflowClient") -> Read:
    """Return a function that reads the values of some metrics of some runs by step.

    Its arguments are run ids and names of metrics. From a database only the needed columns are read: MLflow's own
    query for many runs creates three objects for each value.
    """
    sessions = session_maker(client)

    def from_server(run_ids: Sequence[str], metrics: Sequence[str]) -> Histories:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_THREADS) as pool:
            values = {
                metric: pool.map(lambda r, m=metric: queries.history(client, r, m), run_ids) for metric in metrics
            }
            return {metric: dict(zip(run_ids, by_run, strict=True)) for metric, by_run in values.items()}

    def from_database(run_ids: Sequence[str], metrics: Sequence[str]) -> Histories:
        from mlflow.store.tracking.dbmodels.models import SqlMetric
        from sqlalchemy import func

        assert sessions is not None
        columns = (SqlMetric.key, SqlMetric.run_uuid, SqlMetric.timestamp, SqlMetric.step, SqlMetric.value)
        # `coalesce` makes SQLite use the index of runs, and not the one of keys, which holds the values of all runs.
        selected = func.coalesce(SqlMetric.key, "").in_(metrics)
        values: dict[str, dict[str, dict[int, float]]] = {key: {run_id: {} for run_id in run_ids} for key in metrics}
        with sessions() as session:
            for start in range(0, len(run_ids), _RUNS_PER_QUERY):
                some = run_ids[start : start + _RUNS_PER_QUERY]
                query = session.query(*columns, SqlMetric.is_nan).filter(selected, SqlMetric.run_uuid.in_(some))
                for key, run_id, _, step, value, is_nan in sorted(query.all(), key=itemgetter(2)):
                    values[key][run_id][step] = math.nan if is_nan else value  # the latest value of a step
        return {key: {run_id: sorted(own.items()) for run_id, own in by_run.items()} for key, by_run in values.items()}

    if sessions is None:
        return from_server
    return lambda run_ids, metrics: query_with_retries(client, from_database, run_ids, metrics)
