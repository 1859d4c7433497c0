"""What came of the runs of a study, from the tracker."""

import math
from collections.abc import Iterable

from reglab.execution.attempt import Outcome
from reglab.study.tuning import Result
from reglab.tracking import queries
from reglab.tracking.store import Store


def tracked(store: Store) -> dict[str, Result]:
    """All runs of the experiment that are over, by identity: FINISHED, or diverged, which no other try would mend."""
    diverged = queries.runs(store, status="FAILED", tags={"diverged": "true"})
    finished = queries.runs(store, status="FINISHED")
    return {
        record.tags["config_hash"]: _result(record)
        for record in (*diverged, *finished)  # the newest counts, and FINISHED more than diverged
        if "config_hash" in record.tags and "rerun_of" not in record.tags
    }


def of_outcomes(store: Store, outcomes: Iterable[Outcome], metric: str) -> dict[str, Result]:
    """By identity, what came of runs that were trained now; the tracker is asked where the outcome does not say it.

    Args:
        store: where they are tracked.
        outcomes: of the runs.
        metric: what has to be known.
    """
    found = {}
    for outcome in outcomes:
        if not outcome.error and math.isfinite(outcome.metrics.get(metric, math.nan)):
            found[outcome.config_hash] = Result(
                outcome.metrics, outcome.metrics.get("time/train_s", 0.0), wall=outcome.seconds
            )
        elif outcome.run_id is not None:
            found[outcome.config_hash] = _result(queries.run(store, outcome.run_id))
        else:
            found[outcome.config_hash] = Result(None)
    return found


def _result(record: queries.Record) -> Result:
    wall = max(0.0, (record.ended or record.started) - record.started)
    kind = f"{record.tags.get('data')} {record.tags.get('model')}"
    if record.status == "FINISHED":
        return Result(record.metrics, record.metrics.get("time/train_s", 0.0), wall=wall, kind=kind)
    return Result(None, wall, diverged=record.tags.get("diverged") == "true", wall=wall, kind=kind)
