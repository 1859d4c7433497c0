"""Complete the jobs of a sweep: train them here or in workers, retry after a worker died, wait for other processes.

A run that another process is training is waited for, since the report covers it.
"""

import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from reglab.execution import workers
from reglab.execution.attempt import FirstFailure, Outcome, StoreUnavailable, WorkerTask, attempt, error_line, run_line
from reglab.execution.expand import Job, Plan, settings_as_overrides, with_settings
from reglab.execution.launchers import Launch
from reglab.schema.errors import StoreLost, WorkersDied
from reglab.schema.text import pluralize
from reglab.stopping import raise_if_stopped
from reglab.streams import write_line
from reglab.wording import shorten

if TYPE_CHECKING:
    from reglab.tracking.queries import Record
    from reglab.tracking.store import Store

_MAX_DEATHS = 2  # deaths of workers with a job after which the job fails
_MAX_IDLE_DEATHS = 3  # deaths of workers in a row, none of which had opened a run
_POLL_S = 1.0
_REPEAT_S = 60.0  # seconds between two lines about the same wait
_MAX_LINES = 5


def train_all(plan: Plan, jobs: Sequence[Job], launch: Launch, store: "Store", parent_id: str) -> list[Outcome]:
    """Return the outcomes of all jobs, or with fail_fast=true of those up to the first failure.

    Jobs that other processes are training come last: they are waited for, and trained here if these processes end.

    Args:
        plan: plan of the sweep, or of a round of a study.
        jobs: unfinished jobs of the plan.
        launch: trains them.
        store: store in which the runs are tracked.
        parent_id: the parent run.

    Raises:
        StoreLost: the tracking store does not answer any more.
        WorkersDied: workers end before they open a run.
    """
    outcomes: dict[str, Outcome] = {}
    finished_before = len(plan.jobs) - len(jobs)
    while unfinished := [job for job in jobs if job.config_hash not in outcomes]:
        results = _train(plan, unfinished, launch, store, parent_id, finished_before + len(outcomes) + 1)
        outcomes |= {outcome.config_hash: outcome for outcome in results if not outcome.in_progress}
        failed = plan.cfg.fail_fast and any(outcome.error for outcome in results)
        if failed or len(results) < len(unfinished):
            break
        outcomes |= wait_for_others(plan, [outcome for outcome in results if outcome.in_progress], store)
    return list(outcomes.values())


def _train(
    plan: Plan, jobs: Sequence[Job], launch: Launch, store: "Store", parent_id: str, first: int
) -> list[Outcome]:
    try:
        if launch.is_in_process(len(jobs)):
            return _train_most_in_process(plan, jobs, launch, store, parent_id, first)
        return train_in_workers(plan, jobs, launch, store, parent_id, first)
    except StoreUnavailable as unavailable:
        workers.end_descendants()
        raise StoreLost(unavailable.cause) from unavailable
    except FirstFailure as failure:
        from reglab.tracking.queries import mark_dead_runs_killed

        workers.end_descendants()
        mark_dead_runs_killed(store)
        return [failure.outcome]


def _train_most_in_process(
    plan: Plan, jobs: Sequence[Job], launch: Launch, store: "Store", parent_id: str, first: int
) -> list[Outcome]:
    """Train in this process, except for runs that ended their process before and could end this one."""
    from reglab.tracking.queries import dead_identities

    risky = dead_identities(store, [job.config_hash for job in jobs])
    safe_jobs = [job for job in jobs if job.config_hash not in risky]
    outcomes = train_in_process(plan, safe_jobs, parent_id, first)
    if not risky or (plan.cfg.fail_fast and any(outcome.error for outcome in outcomes)):
        return outcomes
    write_line(f"{pluralize(len(risky), 'run')} ended their process in an earlier start: trained in a separate process")
    risky_jobs = [job for job in jobs if job.config_hash in risky]
    worker_launch = launch.in_worker_processes()
    return outcomes + train_in_workers(
        plan, risky_jobs, worker_launch, store, parent_id, first + len(safe_jobs), one_by_one=True
    )


def train_in_process(plan: Plan, jobs: Sequence[Job], parent_id: str, first: int) -> list[Outcome]:
    """Train jobs in this process, one after the other; with fail_fast=true stop at a failure.

    Args:
        plan: plan of the sweep, or of a round of a study.
        jobs: jobs of the plan.
        parent_id: the parent run.
        first: number of the first job in the lines that are printed.
    """
    settings = plan.child_settings(parent_id)
    outcomes = []
    for number, job in enumerate(jobs, start=first):
        raise_if_stopped()
        outcome = attempt(with_settings(job.config, settings), job.overrides, job.config_hash, job.label)
        write_line(run_line(outcome, number, len(plan.jobs), plan.cfg.metric))
        outcomes.append(outcome)
        if outcome.error and plan.cfg.fail_fast:
            break
    return outcomes


def train_in_workers(
    plan: Plan,
    jobs: Sequence[Job],
    launch: Launch,
    store: "Store",
    parent_id: str,
    first: int,
    *,
    one_by_one: bool = False,
) -> list[Outcome]:
    """Train jobs by a launcher; if a worker dies and ends the launcher's pool, train the rest in another pool.

    It is unknown which of the unfinished runs ended its worker. All are trained again, one at a time and after
    the others; a run fails if it ends its worker again. Runs that ran out of memory are also trained once more.

    Args:
        plan: plan of the sweep, or of a round of a study.
        jobs: jobs of the plan.
        launch: trains them.
        store: store in which the runs are tracked.
        parent_id: the parent run.
        first: number of the first job in the lines that are printed.
        one_by_one: never train two of them at once.

    Raises:
        FirstFailure: with fail_fast=true, at the first run that failed.
        WorkersDied: workers end before they open a run.
    """
    numbered = {job.config_hash: (number, job.label, job.overrides) for number, job in enumerate(jobs, first)}
    settings = settings_as_overrides(plan.child_settings(parent_id))
    outcomes: dict[str, Outcome] = {}
    deaths: Counter[str] = Counter()
    trained_alone = {job.config_hash for job in jobs} if one_by_one else set()
    idle_deaths = 0
    while unfinished := [job for job in jobs if job.config_hash not in outcomes]:
        batch = [job for job in unfinished if job.config_hash not in trained_alone] or unfinished[:1]
        retry_memory = not trained_alone.issuperset(job.config_hash for job in batch)
        fail_fast = bool(plan.cfg.fail_fast)
        task = WorkerTask(numbered, len(plan.jobs), os.getpid(), plan.cfg.metric, fail_fast, retry_memory)
        began = time.time()
        try:
            results = launch(task, [[*job.overrides, *settings] for job in batch])
        except Exception as error:
            tracked = _tracked_since(began, batch, store, parent_id)
            if not tracked and not isinstance(error, BrokenExecutor):
                raise  # an error of the launcher itself would repeat
            idle_deaths = 0 if tracked else idle_deaths + 1
            if idle_deaths == _MAX_IDLE_DEATHS:
                raise WorkersDied(f"({shorten(error_line(error), 200)})") from error
            launch.require_worker_processes()
            outcomes |= _outcomes_after_death(batch, tracked, deaths, trained_alone)
            write_line(f"a worker process died ({shorten(error_line(error), 100)}): continuing with the remaining runs")
        else:
            idle_deaths = 0
            ended = {job.config_hash: _outcome(job, result) for job, result in zip(batch, results, strict=True)}
            retried = {identity for identity, outcome in ended.items() if outcome.out_of_memory and retry_memory}
            if retried:
                trained_alone |= retried
                write_line(f"{len(retried)} runs ran out of memory: training them again, one at a time")
            outcomes |= {identity: outcome for identity, outcome in ended.items() if identity not in retried}
    return list(outcomes.values())


def _outcome(job: Job, result: Outcome | Exception) -> Outcome:
    if isinstance(result, Outcome):
        return result
    return Outcome(job.config_hash, job.label, error=error_line(result))


def _tracked_since(began: float, jobs: Sequence[Job], store: "Store", parent_id: str) -> "dict[str, Record]":
    """Mark runs of dead processes KILLED, and return the newest run of each job that was opened since a time."""
    from reglab.tracking import parent, queries

    queries.mark_dead_runs_killed(store)
    identities = {job.config_hash for job in jobs}
    children = [record for record in parent.children(store, parent_id) if record.started >= began - 1]
    return {identity: r for r in children if (identity := r.tags.get("config_hash", "")) in identities}


def _outcomes_after_death(
    jobs: Sequence[Job], tracked: "dict[str, Record]", deaths: Counter[str], trained_alone: set[str]
) -> dict[str, Outcome]:
    """Return the outcomes of jobs whose launcher returned none, from their tracked runs.

    Args:
        jobs: jobs that were launched.
        tracked: the run of each job that has one.
        deaths: number of deaths of each job; updated.
        trained_alone: identities that are trained one at a time; those to be trained again are added.
    """
    from reglab.tracking.run import OUT_OF_MEMORY

    outcomes = {}
    for job in jobs:
        if (record := tracked.get(job.config_hash)) is None:
            continue
        if record.status == "KILLED":
            deaths[job.config_hash] += 1
        elif OUT_OF_MEMORY in record.tags and job.config_hash not in trained_alone:
            trained_alone.add(job.config_hash)
            continue
        if record.status in ("FINISHED", "FAILED") or deaths[job.config_hash] >= _MAX_DEATHS:
            errors = {"FINISHED": None, "FAILED": record.tags.get("error", "see error.txt")}
            died = f"its process ended {_MAX_DEATHS} times (out of memory, or a crash in native code?)"
            error = errors.get(record.status, died)
            outcomes[job.config_hash] = Outcome(job.config_hash, job.label, record.run_id, error, record.metrics)
        elif record.status == "KILLED":
            trained_alone.add(job.config_hash)
    return outcomes


def wait_for_others(plan: Plan, in_progress: Sequence[Outcome], store: "Store") -> dict[str, Outcome]:
    """Wait until other processes have ended these runs, or until one of them ends without finishing its run.

    Each minute a line names each run, its owner, and the seconds after which the run is given up. A run is given up
    at once if its process has ended, otherwise after `liveness.SILENT_S` seconds without a heartbeat.

    Args:
        plan: plan of the sweep, or of a round of a study.
        in_progress: outcomes of the runs.
        store: store in which the runs are tracked.

    Returns:
        Outcomes of those that are FINISHED or FAILED, by identity.
    """
    outcomes: dict[str, Outcome] = {}
    printed: float | None = None
    while waiting_for := [outcome for outcome in in_progress if outcome.config_hash not in outcomes]:
        running: list[tuple[Outcome, Record]] = []
        unfinished: list[Outcome] = []
        for outcome, record in [(outcome, _run_of_other(outcome, store)) for outcome in waiting_for]:
            if record is not None and record.status in ("FINISHED", "FAILED"):
                outcomes[outcome.config_hash] = ended = _ended(outcome, record)
                number = len(plan.jobs) - len(in_progress) + len(outcomes)
                write_line(run_line(ended, number, len(plan.jobs), plan.cfg.metric))
            elif record is not None and record.status == "RUNNING":
                running.append((outcome, record))
            else:
                unfinished.append(outcome)
        if unfinished:
            _print_first_lines(
                [f"run {o.run_id} ({o.label}) was not finished by its process: training it here" for o in unfinished]
            )
            break
        if running and (printed is None or time.monotonic() - printed >= _REPEAT_S):
            printed = time.monotonic()
            _print_first_lines([_waiting_line(outcome, record) for outcome, record in running])
        if running:
            time.sleep(_POLL_S)
    return outcomes


def _waiting_line(outcome: Outcome, record: "Record") -> str:
    from reglab.tracking import liveness

    age = max(0.0, liveness.seconds_since_beat(record.tags) or 0.0)
    owner = liveness.describe_owner(record.tags[liveness.OWNER_TAG])
    return (
        f"waiting for run {record.run_id} ({outcome.label}), trained by {owner}: "
        f"last heartbeat {age:.0f} s ago; trained here if none arrives within {liveness.SILENT_S - age:.0f} s"
    )


def _print_first_lines(lines: Sequence[str]) -> None:
    for line in lines[:_MAX_LINES]:
        write_line(line)
    if len(lines) > _MAX_LINES:
        write_line(f"{len(lines) - _MAX_LINES} more such runs")


def _run_of_other(outcome: Outcome, store: "Store") -> "Record | None":
    """Return the run of the other process; None if no process is training it any more."""
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
