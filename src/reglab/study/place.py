"""Jobs in, outcomes out: in this process or by a launcher, and what other processes are training is waited for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reglab.errors import StoreLost
from reglab.study import children
from reglab.study.job import FirstFailure, NoStore, Outcome
from reglab.study.jobs import Job
from reglab.study.launch import Launch
from reglab.study.plan import Plan
from reglab.study.train import train_elsewhere, train_here
from reglab.study.waiting import waited_for

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
    while left := [job for job in todo if job.config_hash not in outcomes]:
        results = _train(plan, left, launch, store, parent_id)
        outcomes |= {outcome.config_hash: outcome for outcome in results if not outcome.in_progress}
        stopped = plan.cfg.fail_fast and any(outcome.error for outcome in results)
        if stopped or len(results) < len(left):
            break
        outcomes |= waited_for(plan, [outcome for outcome in results if outcome.in_progress], store)
    return list(outcomes.values())


def _train(plan: Plan, jobs: Sequence[Job], launch: Launch, store: "Store", parent_id: str) -> list[Outcome]:
    try:
        if launch.in_process(len(jobs)):
            return train_here(plan, jobs, parent_id)
        return train_elsewhere(plan, jobs, launch, store, parent_id)
    except NoStore as gone:
        children.end()
        raise StoreLost(gone) from gone
    except FirstFailure as failure:
        from reglab.tracking.queries import bury

        children.end()
        bury(store)
        return [failure.outcome]
