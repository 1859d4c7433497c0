"""Supervision of runs: waiting for runs of other processes, and outcomes after the death of a worker."""

import re
import threading
from collections import Counter

import pytest

from reglab.config.compose import compose
from reglab.execution import supervise
from reglab.execution.attempt import Outcome
from reglab.execution.expand import Job, Plan
from reglab.tracking.queries import Record
from reglab.tracking.store import open_store
from tests.tracking.test_liveness import ELSEWHERE, seconds_ago, wait_until
from tests.tracking.test_queries import add


@pytest.mark.slow
def test_each_line_has_the_run_its_owner_and_the_time_left(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    monkeypatch.setattr(supervise, "write_line", notes.append)
    monkeypatch.setattr(supervise, "_REPEAT_S", 0.2)
    monkeypatch.setattr(supervise, "_POLL_S", 0.05)
    store = open_store(store_uri, "exp")
    finished_id, silent_id = (add(store, "RUNNING", owner=ELSEWHERE, heartbeat=seconds_ago(100)) for _ in range(2))

    def act() -> None:
        try:
            wait_until(lambda: sum(text.startswith(f"waiting for run {finished_id}") for text in notes) >= 2, 60)
            store.client.set_terminated(finished_id, "FINISHED")
            wait_until(lambda: any(text.startswith("[") for text in notes), 60)
        finally:
            store.client.set_tag(silent_id, "heartbeat", seconds_ago(301))

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    run_ids = (finished_id, silent_id)
    outcomes = [Outcome(run, f"seed={seed}", run, in_progress=True) for seed, run in enumerate(run_ids)]
    outcomes_of_others = supervise.wait_for_others(Plan("sweep", [], compose([])), outcomes, store)
    thread.join()
    assert {(run, outcome.reused) for run, outcome in outcomes_of_others.items()} == {(finished_id, True)}
    pattern = (
        r"waiting for run (\w+) \(seed=[01]\), trained by process \d+ on host another: last heartbeat (\d+) s ago; .*"
    )
    waits = [re.fullmatch(pattern + r"within (\d+) s", text) for text in notes if text.startswith("waiting")]
    assert {match[1] for match in waits if match} == {finished_id, silent_id}
    assert all(match and int(match[2]) >= 100 and 299 <= int(match[2]) + int(match[3]) <= 301 for match in waits)
    assert notes[-1] == f"run {silent_id} (seed=1) was not finished by its process: training it here"
    assert store.client.get_run(silent_id).info.status == "KILLED"


def record(run_id: str, status: str, **tags: str) -> Record:
    return Record(run_id, status, tags, {}, {}, 0.0, 1.0)


def test_after_a_death_tracked_outcomes_are_kept_and_other_runs_are_retried_alone() -> None:
    jobs = [Job((), compose([]), identity, identity) for identity in ("done", "failed", "killed", "memory", "unopened")]
    tracked = {
        "done": record("1", "FINISHED"),
        "failed": record("2", "FAILED", error="broken"),
        "killed": record("3", "KILLED"),
        "memory": record("4", "FAILED", out_of_memory="true"),
    }
    deaths: Counter[str] = Counter()
    alone: set[str] = set()
    outcomes = supervise._outcomes_after_death(jobs, tracked, deaths, alone)
    assert {identity: outcome.error for identity, outcome in outcomes.items()} == {"done": None, "failed": "broken"}
    assert alone == {"killed", "memory"}
    assert deaths == {"killed": 1}
    outcomes = supervise._outcomes_after_death(jobs[2:4], tracked, deaths, alone)
    assert outcomes["killed"].error is not None
    assert "2 times" in outcomes["killed"].error
    assert outcomes["memory"].run_id == "4"
