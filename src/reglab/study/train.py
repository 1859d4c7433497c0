"""The runs of a sweep that are still to be done: one after the other here, or by a Hydra launcher elsewhere."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reglab.study.job import Outcome, Place, attempt, first_line, line, say
from reglab.study.jobs import Job
from reglab.study.launch import Launch
from reglab.study.plan import Plan, as_child, as_overrides

if TYPE_CHECKING:
    from reglab.tracking.store import Store

_DEATHS = 2  # a job whose worker died that often is given up


def train_here(plan: Plan, pending: Sequence[Job], parent_id: str) -> list[Outcome]:
    """Runs the jobs in this process, from their configs as they are; stops at a failure where the plan says so."""
    settings = plan.child_settings(parent_id)
    outcomes = []
    for number, job in enumerate(pending, start=len(plan.jobs) - len(pending) + 1):
        outcome = attempt(as_child(job.config, settings), job.overrides, job.config_hash, job.label)
        say(line(outcome, number, len(plan.jobs), plan.cfg.metric))
        outcomes.append(outcome)
        if outcome.error and plan.cfg.fail_fast:
            break
    return outcomes


def train_elsewhere(
    plan: Plan, pending: Sequence[Job], launch: Launch, store: "Store", parent_id: str
) -> list[Outcome]:
    """Has the launcher run the jobs. Where a worker dies and takes the launcher's pool with it, the rest goes on.

    Raises:
        FirstFailure: with fail_fast=true, at the first run that failed.
    """
    before = len(plan.jobs) - len(pending)
    place = Place(
        jobs={j.config_hash: (number, j.label, j.overrides) for number, j in enumerate(pending, before + 1)},
        total=len(plan.jobs),
        pid=os.getpid(),
        metric=plan.cfg.metric,
        fail_fast=bool(plan.cfg.fail_fast),
    )
    settings = as_overrides(plan.child_settings(parent_id))
    outcomes: dict[str, Outcome] = {}
    deaths: Counter[str] = Counter()
    while left := [job for job in pending if job.config_hash not in outcomes]:
        began = time.time()
        try:
            results = launch(place, [[*job.overrides, *settings] for job in left])
        except Exception as error:
            outcomes |= _after_a_death(left, deaths, store, parent_id, began, error)
            say(f"a worker process died ({first_line(error)[:100]}): going on with the runs that are left")
        else:
            outcomes |= {job.config_hash: _outcome(job, result) for job, result in zip(left, results, strict=True)}
    return list(outcomes.values())


def _outcome(job: Job, result: Outcome | Exception) -> Outcome:
    if isinstance(result, Outcome):
        return result
    return Outcome(job.config_hash, job.label, error=first_line(result))


def _after_a_death(
    jobs: Sequence[Job], deaths: Counter[str], store: "Store", parent_id: str, began: float, error: Exception
) -> dict[str, Outcome]:
    """What the tracker knows of jobs whose launcher came back with nothing; the deaths of each job are counted."""
    from reglab.tracking import parent, queries

    queries.bury(store)
    known = {r.tags.get("config_hash"): r for r in parent.children(store, parent_id) if r.started >= began - 1}
    if not any(job.config_hash in known for job in jobs):
        raise error  # it would only happen again
    outcomes = {}
    for job in jobs:
        record = known.get(job.config_hash)
        status = record.status if record else None
        if status == "KILLED":
            deaths[job.config_hash] += 1
        given_up = deaths[job.config_hash] >= _DEATHS
        if record and (status in ("FINISHED", "FAILED") or given_up):
            message = {"FINISHED": None, "FAILED": "see error.txt"}.get(record.status, "its worker process died")
            outcomes[job.config_hash] = Outcome(job.config_hash, job.label, record.run_id, message, record.metrics)
    return outcomes
