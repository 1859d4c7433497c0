"""Jobs in, outcomes out: in this process or by a launcher, and what other processes are training is waited for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reglab.execution import workers
from reglab.execution.attempt import FirstFailure, NoStore, Outcome, say
from reglab.execution.expand import Job
from reglab.execution.launchers import Launch
from reglab.execution.plan import Plan
from reglab.execution.supervise import train_elsewhere, train_here
from reglab.execution.waiting import waited_for
from reglab.schema.errors import StoreLost
from reglab.wording import pluralize

if TYPE_CHECKING:
    from reglab.tracking.store import Store


def all_trained(plan: Plan, todo: Sequence[Job], launch: Launch, store: "Store", parent_id: str) -> list[Outcome]:
    """Outcomes of all jobs, or with fail_fast=true of those up to the first failure.

    Jobs that other processes are training come last: they are waited for, and done here where these die.

    Args:
        plan: of the sweep, or of a study's round.
        todo: its jobs that are not done.
        launch: where they are placed.
        store: where they are tracked.
        parent_id: the parent run.

    Raises:
        StoreLost: the tracking store does not answer any more.
    """
    outcomes: dict[str, Outcome] = {}
    before = len(plan.jobs) - len(todo)
    while left := [job for job in todo if job.config_hash not in outcomes]:
        results = _train(plan, left, launch, store, parent_id, before + len(outcomes) + 1)
        outcomes |= {outcome.config_hash: outcome for outcome in results if not outcome.in_progress}
        stopped = plan.cfg.fail_fast and any(outcome.error for outcome in results)
        if stopped or len(results) < len(left):
            break
        outcomes |= waited_for(plan, [outcome for outcome in results if outcome.in_progress], store)
    return list(outcomes.values())


def _train(
    plan: Plan, jobs: Sequence[Job], launch: Launch, store: "Store", parent_id: str, first: int
) -> list[Outcome]:
    try:
        if launch.in_process(len(jobs)):
            return _train_here(plan, jobs, launch, store, parent_id, first)
        return train_elsewhere(plan, jobs, launch, store, parent_id, first)
    except NoStore as gone:
        workers.end()
        raise StoreLost(gone) from gone
    except FirstFailure as failure:
        from reglab.tracking.queries import mark_dead_runs_killed

        workers.end()
        mark_dead_runs_killed(store)
        return [failure.outcome]


def _train_here(
    plan: Plan, jobs: Sequence[Job], launch: Launch, store: "Store", parent_id: str, first: int
) -> list[Outcome]:
    """Train in this process. Runs whose process ended without closing them could end this one: they get another."""
    from reglab.tracking.queries import died

    risky = died(store, [job.config_hash for job in jobs])
    safe = [job for job in jobs if job.config_hash not in risky]
    outcomes = train_here(plan, safe, parent_id, first)
    if not risky or (plan.cfg.fail_fast and any(outcome.error for outcome in outcomes)):
        return outcomes
    say(f"{pluralize(len(risky), 'run')} ended with the process before: trained in a separate process")
    rest = [job for job in jobs if job.config_hash in risky]
    return outcomes + train_elsewhere(plan, rest, launch.apart(), store, parent_id, first + len(safe), one_by_one=True)
