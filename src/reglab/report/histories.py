"""Learning curves from the tracker, in few questions."""

import math
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from reglab.compat.mlflow import session_maker
from reglab.report.records import Histories, History
from reglab.tracking import queries
from reglab.tracking.client import query_with_retries

if TYPE_CHECKING:
    from mlflow import MlflowClient

_AT_ONCE = 200  # run ids in one question: databases limit how many values a query may hold


def history_reader(client: "MlflowClient") -> Histories:
    """Asks a database for all runs at once, a server run by run.

    Of a database only the columns that are needed are read: MLflow's own question for many runs makes three objects of
    each value.
    """
    sessions = session_maker(client)

    def one_by_one(run_ids: Sequence[str], metrics: Sequence[str]) -> dict[str, dict[str, History]]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8) as pool:
            told = {metric: pool.map(lambda r, m=metric: queries.history(client, r, m), run_ids) for metric in metrics}
            return {metric: dict(zip(run_ids, some, strict=True)) for metric, some in told.items()}

    def at_once(run_ids: Sequence[str], metrics: Sequence[str]) -> dict[str, dict[str, History]]:
        from mlflow.store.tracking.dbmodels.models import SqlMetric as Logged
        from sqlalchemy import func

        assert sessions is not None
        columns = (Logged.key, Logged.run_uuid, Logged.timestamp, Logged.step, Logged.value, Logged.is_nan)
        # Written so, sqlite looks the runs up, and does not go through what all runs logged under these keys.
        wanted = func.coalesce(Logged.key, "").in_(metrics)
        found: dict[str, dict[str, dict[int, float]]] = {name: {run_id: {} for run_id in run_ids} for name in metrics}
        with sessions() as session:
            for start in range(0, len(run_ids), _AT_ONCE):
                some = run_ids[start : start + _AT_ONCE]
                asked = session.query(*columns).filter(wanted, Logged.run_uuid.in_(some))
                for name, run_id, _, step, value, is_nan in sorted(asked.all(), key=itemgetter(2)):
                    found[name][run_id][step] = math.nan if is_nan else value  # of a step the later value
        return {name: {run_id: sorted(told.items()) for run_id, told in of.items()} for name, of in found.items()}

    return (
        one_by_one
        if sessions is None
        else lambda run_ids, metrics: query_with_retries(client, at_once, run_ids, metrics)
    )
