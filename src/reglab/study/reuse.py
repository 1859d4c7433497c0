"""What of a sweep is finished already, and what is still to be run."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reglab.study.job import say
from reglab.study.jobs import Job
from reglab.study.plan import Plan

if TYPE_CHECKING:
    from reglab.tracking.queries import Record
    from reglab.tracking.store import Store


def pending(plan: Plan, store: "Store") -> list[Job]:
    """The jobs that are not FINISHED; tells how many are."""
    from reglab.tracking.queries import finished

    if plan.cfg.resume is False:
        return list(plan.jobs)
    before = finished(store, plan.hashes)
    if before:
        say(
            f"{len(before)} of {len(plan.jobs)} runs were finished before ({_code(before.values())}): reused "
            "(resume=false trains all anew)"
        )
    return [job for job in plan.jobs if job.config_hash not in before]


def _code(records: Iterable["Record"]) -> str:
    """The commits of reused runs, and that of the code here where it is another."""
    from reglab.tracking.environment import git_commit, git_dirty

    def name(commit: str | None, dirty: bool) -> str:
        return (commit or "unknown")[:7] + (" with changes" if dirty else "")

    commits = list(dict.fromkeys(name(r.tags.get("git_commit"), r.tags.get("git_dirty") == "true") for r in records))
    told = f"commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}"
    here = name(git_commit(), bool(git_dirty()))
    return told if commits == [here] else f"{told}; the code here is {here}"
