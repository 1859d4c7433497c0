"""Find or create the parent run of a sweep or study, and store the jobs that its starts declared."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeGuard

from mlflow.entities import RunTag

from reglab.deadlines import waiting
from reglab.schema.errors import ConfigError
from reglab.schema.text import pluralize
from reglab.stopping import defer_signals
from reglab.streams import note
from reglab.tracking import artifacts, queries
from reglab.tracking.client import without_retries
from reglab.tracking.liveness import BEAT_EVERY_S, OWNER_TAG, Heartbeat, has_ended, is_this_process
from reglab.tracking.run import CLOSE_S, PARENT_TAG, standard_tags
from reglab.tracking.store import Store
from reglab.tracking.values import cut_name, within_limits

DECLARED = "declared.json"
_COUNTS = ("start", "trial", "rung")
_TEXTS = ("setting", "strategy", "data", "task", "phase", "label")
Job = dict[str, Any]
_heartbeats: dict[str, Heartbeat] = {}  # heartbeat of each parent run that this process has opened, by run id


def open_parent(
    store: Store,
    name: str,
    jobs: Sequence[Job],
    *,
    kind: str = "sweep",
    tags: Mapping[str, str] | None = None,
    beat_s: float = BEAT_EVERY_S,
) -> str:
    """Create the parent run of a sweep or study, or reopen it, and add `jobs` to its declared jobs.

    It is RUNNING, owned by this process, and has a heartbeat until it is closed.

    Args:
        store: the store.
        name: name of the sweep or study and of its parent run; an existing parent of that name is reopened.
        jobs: JSON-able dicts with at least `config_hash` and `setting` (see `merge_jobs` and `jobs_to_report`).
        kind: ``sweep`` or ``study``.
        tags: further tags of the parent.
        beat_s: seconds between heartbeats.

    Returns:
        The parent's run id.
    """
    short_tags, cut_texts = within_limits({**standard_tags(), **(tags or {}), "phase": "parent", kind: name})
    parent: str | None = None
    try:
        with store.lock(), defer_signals():
            parent = find_parent(store, name, kind)
            if parent is None:
                parent = store.create_run(short_tags, cut_name(name)).run_id
            else:
                store.client.log_batch(parent, tags=[RunTag(key, value) for key, value in short_tags.items()])
                if "error" in store.client.get_run(parent).data.tags:  # of an earlier start
                    store.client.delete_tag(parent, "error")
                store.client.update_run(parent, status="RUNNING")
            if parent not in _heartbeats:
                _heartbeats[parent] = Heartbeat(without_retries(store.client), parent, beat_s)
            files = artifacts.of_run(store, parent)
            for path, text in cut_texts.items():
                files.write_text(text, path)
            declared_before = declared(store, parent)
            files.write_text(json.dumps(merge_jobs(declared_before, jobs), indent=1), DECLARED)
    except BaseException as error:
        if parent is not None:
            close_parent(store, parent, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    return parent


def close_parent(store: Store, parent: str, status: str) -> None:
    """Close the parent run, unless another running process has reopened it.

    Args:
        store: the store.
        parent: id of the parent run.
        status: FINISHED, FAILED or KILLED.

    Raises:
        Overdue: KILLED, and the store did not answer within `CLOSE_S` seconds: the next start finds the run.
    """
    limit = waiting(limit=CLOSE_S) if status == "KILLED" else nullcontext()
    with defer_signals(deliver=status != "KILLED"), limit:
        if heartbeat := _heartbeats.pop(parent, None):
            heartbeat.stop()
        with store.lock():
            tags = store.client.get_run(parent).data.tags
            owner = tags.get(OWNER_TAG)
            if not (is_this_process(owner) or has_ended(owner)):
                return
            if status == "FINISHED" and "error" in tags:  # by a process that reopened it later and was marked KILLED
                store.client.delete_tag(parent, "error")
            store.client.set_terminated(parent, status)


def find_parent(store: Store, name: str, kind: str = "sweep") -> str | None:
    """Return the run id of the oldest parent of a sweep or study; None if there is none."""
    parents = queries.runs(store, tags={"phase": "parent", kind: name})
    return parents[0].run_id if parents else None


def replace_declared(store: Store, parent: str, jobs: Sequence[Job]) -> None:
    """Replace the list of declared jobs: a study adds to it as its tuning ends."""
    artifacts.of_run(store, parent).write_text(json.dumps(list(jobs), indent=1), DECLARED)


def declared(store: Store, parent: str) -> list[Job]:
    """Return the jobs that a sweep declared in all its starts, or a study so far.

    Entries that cannot be read are left out, with a note on standard error.
    """
    try:
        entries = artifacts.of_run(store, parent).read_json(DECLARED, list) or []
    except ConfigError as error:
        note(f"{error}: left out")
        return []
    jobs = [entry for entry in entries if _is_job(entry)]
    if len(jobs) < len(entries):
        unreadable = pluralize(len(entries) - len(jobs), "entry", "entries")
        note(f"{DECLARED} of run {parent}: {unreadable} of {len(entries)} cannot be read: left out")
    return jobs


def _is_job(entry: object) -> TypeGuard[Job]:
    if not isinstance(entry, dict) or not isinstance(entry.get("config_hash", 0), str | None):
        return False
    counts = (entry.get(key, 0) for key in _COUNTS)
    texts = (entry.get(key) for key in _TEXTS)
    if not all(type(count) is int for count in counts) or not all(isinstance(text, str | None) for text in texts):
        return False
    if not isinstance(entry.get("seed"), str | int | None):
        return False
    values = entry.get("values", {})
    has_scalar_values = isinstance(values, dict) and all(
        isinstance(v, str | int | float | None) for v in values.values()
    )
    tuning = entry.get("phase") == "tune"
    return has_scalar_values and (
        not tuning or all(entry.get(key) is not None for key in ("trial", "seed", "strategy", "task"))
    )


def children(store: Store, parent: str) -> list[queries.Record]:
    """Return the parent's runs, oldest first, without jobs that were first run elsewhere (see `queries.finished`)."""
    return queries.runs(store, tags={PARENT_TAG: parent})


def merge_jobs(before: Sequence[Job], now: Sequence[Job]) -> list[Job]:
    """Return the declared jobs after another start, each with the number of the last start that declared it."""
    if not now:
        return list(before)
    start = 1 + max((job.get("start", 0) for job in before), default=0)
    return list({job["config_hash"]: job for job in (*before, *({**job, "start": start} for job in now))}.values())


def jobs_to_report(declared: Sequence[Job]) -> list[Job]:
    """Return the jobs that a report covers: of all starts, those that share a `setting` with the last start's.

    A setting is fixed within a comparison: further seeds and strategies share it, another number of epochs is
    another setting. If the code of a strategy's regularizers has changed between starts (`strategy_code`), only jobs
    with the code of the last start that declared the strategy are covered.
    """
    last = max((job.get("start", 0) for job in declared), default=0)
    settings = {job.get("setting") for job in declared if job.get("start", 0) == last}
    jobs_of_settings = [job for job in declared if job.get("setting") in settings]
    newest = {
        (job.get("setting"), job.get("strategy")): job.get("strategy_code")
        for job in sorted(jobs_of_settings, key=lambda job: job.get("start", 0))
    }
    return [
        job for job in jobs_of_settings if job.get("strategy_code") == newest[job.get("setting"), job.get("strategy")]
    ]
