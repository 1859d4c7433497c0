"""Wait for runs of a sweep or study that another process is training, since the report covers them."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reglab.execution.attempt import Outcome, line, say
from reglab.execution.plan import Plan

if TYPE_CHECKING:
    from reglab.tracking.queries import Record
    from reglab.tracking.store import Store

_LOOK_EVERY_S = 1.0
_REPEAT_S = 60.0  # between two lines about the same wait
_SHOWN = 5


def waited_for(plan: Plan, waiting: Sequence[Outcome], store: "Store") -> dict[str, Outcome]:
    """Wait until the other processes have ended these runs, or until one process ends without finishing its run.

    Each minute a line names each run, its owner, and the seconds after which the run is given up. A run is given up
    at once if its process has ended, else after `heartbeat.SILENT_S` seconds without a heartbeat.

    Args:
        plan: the sweep's.
        waiting: outcomes in progress.

    Returns:
        Outcomes of those that are FINISHED or FAILED, by identity; the sweep trains the others itself.
    """
    outcomes: dict[str, Outcome] = {}
    shown: float | None = None
    while left := [outcome for outcome in waiting if outcome.config_hash not in outcomes]:
        looked = [(outcome, _looked(outcome, store)) for outcome in left]
        running: list[tuple[Outcome, Record]] = []
        lost: list[Outcome] = []
        for outcome, record in looked:
            if record is not None and record.status in ("FINISHED", "FAILED"):
                outcomes[outcome.config_hash] = ended = _ended(outcome, record)
                say(line(ended, len(plan.jobs) - len(waiting) + len(outcomes), len(plan.jobs), plan.cfg.metric))
            elif record is not None and record.status == "RUNNING":
                running.append((outcome, record))
            else:
                lost.append(outcome)
        if lost:
            _say_some([f"run {o.run_id} ({o.label}) was not finished by its process: trained here" for o in lost])
            break
        if running and (shown is None or time.monotonic() - shown >= _REPEAT_S):
            shown = time.monotonic()
            _say_some([_wait(outcome, record) for outcome, record in running])
        if running:
            time.sleep(_LOOK_EVERY_S)
    return outcomes


def _wait(outcome: Outcome, record: "Record") -> str:
    from reglab.tracking import liveness

    age = max(0.0, liveness.seconds_since_beat(record.tags) or 0.0)
    return (
        f"waiting for run {record.run_id} ({outcome.label}), trained by "
        f"{liveness.describe_owner(record.tags[liveness.OWNER_TAG])}: "
        f"last heartbeat {age:.0f} s ago; trained here if none arrives within {liveness.SILENT_S - age:.0f} s"
    )


def _say_some(lines: Sequence[str]) -> None:
    for text in lines[:_SHOWN]:
        say(text)
    if len(lines) > _SHOWN:
        say(f"{len(lines) - _SHOWN} more such runs")


def _looked(outcome: Outcome, store: "Store") -> "Record | None":
    """Return the other process's run; None if no process trains it any more."""
    from reglab.tracking import queries

    assert outcome.run_id is not None
    record = queries.get(store, outcome.run_id)
    if record is None or (record.status == "RUNNING" and not queries.is_in_progress(record)):
        queries.mark_dead_runs_killed(store)
        return None
    return record


def _ended(outcome: Outcome, record: "Record") -> Outcome:
    if record.status == "FINISHED":
        return replace(outcome, metrics=record.metrics, reused=True, in_progress=False)
    error = record.tags.get("error", "see error.txt")
    return replace(outcome, error=error, reused=True, in_progress=False)
