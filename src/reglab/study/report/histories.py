"""Learning curves from the tracker, in few questions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reglab.garbage import no_garbage
from reglab.study.report.records import Histories, History
from reglab.tracking import queries

if TYPE_CHECKING:
    from mlflow import MlflowClient

_AT_ONCE = 200  # run ids in one question: databases limit how many values a query may hold
_VALUES = 1_000_000


def reader(client: "MlflowClient") -> Histories:
    """Asks a database for all runs at once (0.2 s for 80 runs of 20 epochs and four metrics), a server run by run."""
    # MLflow offers the question on its database stores and behind an HTTP route of its own UI, not on the client.
    bulk = getattr(getattr(getattr(client, "_tracking_client", None), "store", None), "get_metric_history_bulk", None)

    def one_by_one(run_ids: Sequence[str], metric: str) -> dict[str, History]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8) as pool:
            return dict(zip(run_ids, pool.map(lambda r: queries.history(client, r, metric), run_ids), strict=True))

    def at_once(run_ids: Sequence[str], metric: str) -> dict[str, History]:
        assert bulk is not None
        found: dict[str, dict[int, tuple[int, float]]] = {run_id: {} for run_id in run_ids}
        for start in range(0, len(run_ids), _AT_ONCE):
            some = list(run_ids[start : start + _AT_ONCE])
            with no_garbage():
                values = bulk(some, metric, _VALUES)
            for told in sorted(values, key=lambda told: told.timestamp):
                found[told.run_id][told.step] = (told.timestamp, told.value)
        return {run_id: [(s, v) for s, (_, v) in sorted(told.items())] for run_id, told in found.items()}

    return one_by_one if bulk is None else at_once
