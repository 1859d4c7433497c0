"""Runs of a sweep that another process is training: waited for, since the report is to cover them."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reglab.study.job import Outcome, line, say
from reglab.study.plan import Plan

if TYPE_CHECKING:
    from reglab.tracking.queries import Record
    from reglab.tracking.store import Store

_LOOK_EVERY_S = 1.0


def waited_for(plan: Plan, waiting: Sequence[Outcome], store: "Store") -> dict[str, Outcome]:
    """Waits until the other processes have ended these runs, or until one of them left its run undone.

    Args:
        plan: the sweep's.
        waiting: outcomes in progress.

    Returns:
        what came of those that are FINISHED or FAILED, by identity; the sweep itself goes on with the others.
    """
    outcomes: dict[str, Outcome] = {}
    told = False
    while left := [outcome for outcome in waiting if outcome.config_hash not in outcomes]:
        looked = [(outcome, _looked(outcome, store)) for outcome in left]
        for outcome, record in looked:
            if record is not None and record.status in ("FINISHED", "FAILED"):
                outcomes[outcome.config_hash] = ended = _ended(outcome, record)
                say(line(ended, len(plan.jobs) - len(waiting) + len(outcomes), len(plan.jobs), plan.cfg.metric))
        running = [record for _, record in looked if record is not None and record.status == "RUNNING"]
        if len(outcomes) + len(running) < len(waiting):
            say("another process left a run undone: it is done here")
            break
        if running and not told:
            runs = f"{len(running)} run{'s' if len(running) > 1 else ''}"
            say(f"waiting for {runs} that another process is training ...")
            told = True
        if running:
            time.sleep(_LOOK_EVERY_S)
    return outcomes


def _looked(outcome: Outcome, store: "Store") -> "Record | None":
    """The other process's run; None where nobody works on it any more."""
    from reglab.tracking import queries

    assert outcome.run_id is not None
    record = queries.get(store, outcome.run_id)
    if record is None or (record.status == "RUNNING" and not queries.is_in_progress(record)):
        queries.bury(store)
        return None
    return record


def _ended(outcome: Outcome, record: "Record") -> Outcome:
    if record.status == "FINISHED":
        return replace(outcome, metrics=record.metrics, reused=True, in_progress=False)
    error = record.tags.get("error", "see error.txt")
    return replace(outcome, error=error, reused=True, in_progress=False)
