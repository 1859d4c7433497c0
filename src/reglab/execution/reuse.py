"""What of a sweep is finished already, and what is still to be run."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from reglab.config.identity import code, recipe_hash
from reglab.execution.attempt import say
from reglab.execution.expand import Job
from reglab.execution.plan import Plan

if TYPE_CHECKING:
    from reglab.tracking.queries import Record
    from reglab.tracking.store import Store


def pending(plan: Plan, store: "Store") -> list[Job]:
    """Return the jobs that are not FINISHED; print how many are, and how many only with other code or libraries."""
    from reglab.tracking.queries import finished

    if plan.cfg.resume is False:
        return list(plan.jobs)
    before = finished(store, plan.hashes)
    if before:
        say(
            f"{len(before)} of {len(plan.jobs)} runs were finished before ({_code(before.values())}): reused "
            "(resume=false trains all anew)"
        )
    left = [job for job in plan.jobs if job.config_hash not in before]
    say_not_reused(left, len(plan.jobs), store)
    return left


def say_not_reused(jobs: Sequence[Job], total: int, store: "Store") -> None:
    """Print how many jobs were finished with other code or libraries, and the parts that differ.

    Args:
        jobs: those still to be trained.
        total: number of all jobs, with the finished ones.
        store: searched for such runs.
    """
    from reglab.tracking.queries import finished_of_recipes

    by_recipe = {recipe_hash(job.config): job for job in jobs}
    records = finished_of_recipes(store, list(by_recipe)) if by_recipe else []
    newest = {r.tags["recipe_hash"]: r for r in records if "recipe_hash" in r.tags}
    changed = {part for recipe, record in newest.items() for part in _changed(store, record, by_recipe[recipe])}
    if newest:
        say(
            f"{len(newest)} of {total} runs are trained again: the tracked ones had other code or "
            f"libraries ({', '.join(sorted(changed))})"
        )
    if first := {r.tags["config_hash"] for r in records if "recipe_hash" not in r.tags} - set(newest):
        say(
            f"{len(first)} of {total} runs are trained again: the tracked ones have an earlier identity rule, "
            "without their code"
        )


def _changed(store: "Store", record: "Record", job: Job) -> Iterator[str]:
    """Yield the parts of a run's code and the libraries that differ here: ``regularizer.l2``, ``torch 2.9``."""
    from reglab.tracking import queries

    now, then = code(job.config), queries.code(store, record)
    yield from (part for part in then.keys() | now.parts.keys() if then.get(part) != now.parts.get(part))
    about = queries.about(store, record)
    for name, version in now.versions.items():
        before = about.get(f"versions.{name}")
        if before != version:
            yield f"{name} {before or 'unknown'}"


def _code(records: Iterable["Record"]) -> str:
    """The commits of reused runs, and that of the code here where it is another."""
    from reglab.tracking.environment import git_commit, git_dirty

    def name(commit: str | None, dirty: bool) -> str:
        return (commit or "unknown")[:7] + (" with changes" if dirty else "")

    commits = list(dict.fromkeys(name(r.tags.get("git_commit"), r.tags.get("git_dirty") == "true") for r in records))
    told = f"commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}"
    here = name(git_commit(), bool(git_dirty()))
    return told if commits == [here] else f"{told}; the code here is {here}"
