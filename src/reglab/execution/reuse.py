"""Runs of a sweep or study that are FINISHED already, and runs trained with other code or libraries."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from reglab.config.identity import code_of_config, recipe_hash
from reglab.execution.expand import Job, Plan
from reglab.streams import write_line

if TYPE_CHECKING:
    from reglab.tracking.queries import Record
    from reglab.tracking.store import Store


def pending(plan: Plan, store: "Store") -> list[Job]:
    """Return the jobs that are not FINISHED; print how many are, and how many only with other code or libraries."""
    from reglab.tracking.queries import finished

    if plan.cfg.resume is False:
        return list(plan.jobs)
    done = finished(store, plan.hashes)
    if done:
        write_line(
            f"{len(done)} of {len(plan.jobs)} runs are already finished ({_commits(done.values())}): reused "
            "(resume=false trains all of them again)"
        )
    unfinished = [job for job in plan.jobs if job.config_hash not in done]
    print_other_code(unfinished, len(plan.jobs), store)
    return unfinished


def print_other_code(jobs: Sequence[Job], total: int, store: "Store") -> None:
    """Print how many jobs were finished with other code or libraries, and the parts that differ.

    Args:
        jobs: jobs to train.
        total: number of all jobs, with the finished ones.
        store: store in which the other runs are tracked.
    """
    from reglab.tracking.queries import finished_of_recipes

    by_recipe = {recipe_hash(job.config): job for job in jobs}
    records = finished_of_recipes(store, list(by_recipe)) if by_recipe else []
    newest = {r.tags["recipe_hash"]: r for r in records if "recipe_hash" in r.tags}
    changed = {part for recipe, record in newest.items() for part in _changed_parts(store, record, by_recipe[recipe])}
    if newest:
        write_line(
            f"{len(newest)} of {total} runs are trained again: the tracked ones had other code or "
            f"libraries ({', '.join(sorted(changed))})"
        )
    if without_code := {r.tags["config_hash"] for r in records if "recipe_hash" not in r.tags} - set(newest):
        write_line(
            f"{len(without_code)} of {total} runs are trained again: the tracked ones have an earlier identity, "
            "which did not include the code"
        )


def _changed_parts(store: "Store", record: "Record", job: Job) -> Iterator[str]:
    """Yield the parts of a run's code and the libraries that differ here: ``regularizer.l2``, ``torch 2.9``."""
    from reglab.tracking import queries

    now, then = code_of_config(job.config), queries.code(store, record)
    yield from (part for part in then.keys() | now.parts.keys() if then.get(part) != now.parts.get(part))
    about = queries.about(store, record)
    for name, version in now.versions.items():
        before = about.get(f"versions.{name}")
        if before != version:
            yield f"{name} {before or 'unknown'}"


def _commits(records: Iterable["Record"]) -> str:
    """Return the commits of reused runs, and that of the code here if it differs."""
    from reglab.tracking.environment import git_commit, git_dirty

    def name(commit: str | None, dirty: bool) -> str:
        return (commit or "unknown")[:7] + (" with changes" if dirty else "")

    commits = list(dict.fromkeys(name(r.tags.get("git_commit"), r.tags.get("git_dirty") == "true") for r in records))
    text = f"commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}"
    here = name(git_commit(), bool(git_dirty()))
    return text if commits == [here] else f"{text}; the code here is {here}"
