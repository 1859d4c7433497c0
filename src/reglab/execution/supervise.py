"""The runs of a sweep that are still to be done: one after the other here, or by a Hydra launcher elsewhere."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING

from reglab.execution.attempt import Outcome, Place, attempt, first_line, line, say
from reglab.execution.expand import Job
from reglab.execution.launchers import Launch
from reglab.execution.plan import Plan, as_child, as_overrides
from reglab.schema.errors import WorkersDied
from reglab.stopping import raise_if_stopped
from reglab.wording import shorten

if TYPE_CHECKING:
    from reglab.tracking.queries import Record
    from reglab.tracking.store import Store

_DEATHS = 2  # a job whose worker died that often is given up
_IDLE_DEATHS = 3  # times in a row that workers may die before any of them has opened a run


def train_here(plan: Plan, pending: Sequence[Job], parent_id: str, first: int) -> list[Outcome]:
    """Run the jobs in this process; stop at a failure if the plan says so.

    Args:
        plan: of the sweep, or of a study's round.
        pending: its jobs that are not done.
        parent_id: the parent run.
        first: number of the first job in the lines that are printed.
    """
    settings = plan.child_settings(parent_id)
    outcomes = []
    for number, job in enumerate(pending, start=first):
        raise_if_stopped()
        outcome = attempt(as_child(job.config, settings), job.overrides, job.config_hash, job.label)
        say(line(outcome, number, len(plan.jobs), plan.cfg.metric))
        outcomes.append(outcome)
        if outcome.error and plan.cfg.fail_fast:
            break
    return outcomes


def train_elsewhere(
    plan: Plan,
    pending: Sequence[Job],
    launch: Launch,
    store: "Store",
    parent_id: str,
    first: int,
    *,
    one_by_one: bool = False,
) -> list[Outcome]:
    """Run the jobs by the launcher. If a worker dies and ends the launcher's pool, run the rest in another pool.

    It is not known which of the unfinished runs ended its worker. Each is trained again, one at a time and after the
    others, and fails at its second death. Runs that were out of memory are trained once more, too.

    Args:
        plan: of the sweep, or of a study's round.
        pending: its jobs that are not done.
        launch: runs them.
        store: tracks them.
        parent_id: the parent run.
        first: number of the first job in the lines that are printed.
        one_by_one: never two of them at once.

    Raises:
        FirstFailure: with fail_fast=true, at the first run that failed.
        WorkersDied: workers die before they open a run.
    """
    numbers = {j.config_hash: (number, j.label, j.overrides) for number, j in enumerate(pending, first)}
    settings = as_overrides(plan.child_settings(parent_id))
    outcomes: dict[str, Outcome] = {}
    deaths: Counter[str] = Counter()
    alone = {job.config_hash for job in pending} if one_by_one else set()
    idle = 0
    while left := [job for job in pending if job.config_hash not in outcomes]:
        some = [job for job in left if job.config_hash not in alone] or left[:1]
        again = not alone.issuperset(job.config_hash for job in some)
        place = Place(numbers, len(plan.jobs), os.getpid(), plan.cfg.metric, bool(plan.cfg.fail_fast), again)
        began = time.time()
        try:
            results = launch(place, [[*job.overrides, *settings] for job in some])
        except Exception as error:
            known = _left_behind(some, store, parent_id, began)
            if not known and not isinstance(error, BrokenExecutor):
                raise  # of the launcher itself: it would only happen again
            idle = 0 if known else idle + 1
            if idle == _IDLE_DEATHS:
                raise WorkersDied(f"({shorten(first_line(error), 200)})") from error
            launch.keep_apart()
            outcomes |= _after_a_death(some, known, deaths, alone)
            say(f"a worker process died ({shorten(first_line(error), 100)}): going on with the runs that are left")
        else:
            idle = 0
            ended = {job.config_hash: _outcome(job, result) for job, result in zip(some, results, strict=True)}
            short = {identity for identity, outcome in ended.items() if outcome.out_of_memory and again}
            if short:
                alone |= short
                say(f"out of memory in {len(short)} of the runs: trained again, one at a time")
            outcomes |= {identity: outcome for identity, outcome in ended.items() if identity not in short}
    return list(outcomes.values())


def _outcome(job: Job, result: Outcome | Exception) -> Outcome:
    if isinstance(result, Outcome):
        return result
    return Outcome(job.config_hash, job.label, error=first_line(result))


def _left_behind(jobs: Sequence[Job], store: "Store", parent_id: str, began: float) -> "dict[str, Record]":
    """The newest run of each job that was opened since `began`; those whose process is gone are KILLED by now."""
    from reglab.tracking import parent, queries

    queries.mark_dead_runs_killed(store)
    identities = {job.config_hash for job in jobs}
    children = [record for record in parent.children(store, parent_id) if record.started >= began - 1]
    return {identity: r for r in children if (identity := r.tags.get("config_hash", "")) in identities}


def _after_a_death(
    jobs: Sequence[Job], known: "dict[str, Record]", deaths: Counter[str], alone: set[str]
) -> dict[str, Outcome]:
    """Return the tracked outcomes of jobs whose launcher returned none.

    Args:
        jobs: that were launched.
        known: the tracked run of each job that has one.
        deaths: of each job, counted here.
        alone: identities that are trained one at a time; those to be trained again are added.
    """
    from reglab.tracking.run import OUT_OF_MEMORY

    outcomes = {}
    for job in jobs:
        if (record := known.get(job.config_hash)) is None:
            continue
        if record.status == "KILLED":
            deaths[job.config_hash] += 1
        elif OUT_OF_MEMORY in record.tags and job.config_hash not in alone:
            alone.add(job.config_hash)
            continue
        if record.status in ("FINISHED", "FAILED") or deaths[job.config_hash] >= _DEATHS:
            message = {"FINISHED": None, "FAILED": record.tags.get("error", "see error.txt")}.get(
                record.status, f"its process ended {_DEATHS} times (out of memory, or a crash in native code?)"
            )
            outcomes[job.config_hash] = Outcome(job.config_hash, job.label, record.run_id, message, record.metrics)
        elif record.status == "KILLED":
            alone.add(job.config_hash)
    return outcomes
