import json
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from reglab.stopping import stoppable
from reglab.tracking import liveness, parent, queries
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store, open_store
from tests.processes import Process
from tests.tracking.test_queries import add

ELSEWHERE = json.dumps(json.loads(liveness.this_process()) | {"host": "another"})
OWNER = json.dumps(json.loads(liveness.this_process()) | {"pid": "PID"}).replace('"PID"', "PID")
GONE = json.dumps(json.loads(liveness.this_process()) | {"born": "before"})


def seconds_ago(seconds: float) -> str:
    return f"{time.time() - seconds:.0f}"


def heartbeat_of(store: Store, run_id: str) -> float:
    return float(store.client.get_run(run_id).data.tags["heartbeat"])


HeartbeatThreads = Callable[[], int]


@pytest.fixture
def heartbeat_threads() -> HeartbeatThreads:
    """Return a function that counts heartbeat threads, without those of parents left open by earlier tests."""

    def beating() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "reglab-heartbeat"}

    earlier = beating()
    return lambda: len(beating() - earlier)


@pytest.mark.slow
def test_runs_of_other_hosts_are_marked_killed_after_missed_heartbeats(store: Store) -> None:
    silent = add(store, "RUNNING", owner=ELSEWHERE, heartbeat=seconds_ago(310))
    recent = add(store, "RUNNING", owner=ELSEWHERE, heartbeat=seconds_ago(290))
    unknown = [
        add(store, "RUNNING", owner=ELSEWHERE),
        *(add(store, "RUNNING", owner=ELSEWHERE, heartbeat=text) for text in ("soon", "nan", "inf", "-inf", "1e400")),
        *(
            add(store, "RUNNING", owner=ELSEWHERE, heartbeat=text)
            for text in ("9" * 400, seconds_ago(-400), "x" * 8000)
        ),
        *(
            add(store, "RUNNING", owner=OWNER.replace("PID", pid), heartbeat=seconds_ago(310))
            for pid in ("-1", "0", "1e400")
        ),
        add(store, "RUNNING", heartbeat=seconds_ago(310)),
        add(store, "RUNNING", owner=liveness.this_process(), heartbeat=seconds_ago(310)),
    ]
    dead = add(store, "RUNNING", owner=GONE, heartbeat=seconds_ago(1))
    silent_parent = add(store, "RUNNING", owner=ELSEWHERE, heartbeat=seconds_ago(310), phase="parent")
    ended = add(store, "FINISHED", owner=ELSEWHERE, heartbeat=seconds_ago(310))
    assert sorted(queries.mark_dead_runs_killed(store)) == sorted([silent, dead, silent_parent])
    assert queries.mark_dead_runs_killed(store) == []
    for run in (silent, silent_parent):
        mlflow_run = store.client.get_run(run)
        assert mlflow_run.info.status == "KILLED"
        assert mlflow_run.data.tags["error"].startswith("no heartbeat for 5 minutes")
        assert "another host" in mlflow_run.data.tags["error"]
    assert store.client.get_run(dead).data.tags["error"] == "its process ended without closing it"
    assert {store.client.get_run(run).info.status for run in (recent, *unknown)} == {"RUNNING"}
    assert store.client.get_run(ended).info.status == "FINISHED"


@pytest.mark.slow
def test_reusable_runs_are_finished_or_known_to_be_training(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    for number, tags in enumerate(
        (
            {"heartbeat": seconds_ago(1)},  # no owner
            {"owner": OWNER.replace("PID", "-1"), "heartbeat": seconds_ago(1)},
            {"owner": ELSEWHERE, "heartbeat": seconds_ago(-90)},
            {"owner": ELSEWHERE},  # no heartbeat
            {"owner": ELSEWHERE, "heartbeat": seconds_ago(-400)},
            {"owner": ELSEWHERE, "heartbeat": "nan"},
            {"owner": ELSEWHERE, "heartbeat": seconds_ago(310)},
            {"owner": GONE, "heartbeat": seconds_ago(1)},
            {
                "owner": liveness.this_process(),
                "heartbeat": seconds_ago(1),
            },  # a run of this process that could not be closed
            {"owner": ELSEWHERE, "heartbeat": seconds_ago(1), "rerun_of": "x"},
        )
    ):
        run = add(store, "RUNNING", config_hash=f"h{number}", **tags)
        assert queries.reusable(store, f"h{number}") is None
        reported = tags.get("owner") != liveness.this_process() and "rerun_of" not in tags
        assert capsys.readouterr().err.startswith(f"run {run} of the same config is RUNNING, and ") is reported
    add(store, "FAILED", config_hash="a")
    assert queries.reusable(store, "a") is None
    running = add(store, "RUNNING", config_hash="a", owner=ELSEWHERE, heartbeat=seconds_ago(1))
    reusable = queries.reusable(store, "a")
    assert reusable is not None
    assert (reusable.run_id, reusable.status) == (running, "RUNNING")
    finished = [add(store, "FINISHED", config_hash="a") for _ in range(2)]
    add(store, "FINISHED", config_hash="a", rerun_of=finished[0])
    reusable = queries.reusable(store, "a")
    assert reusable is not None
    assert reusable.run_id == finished[1]


@pytest.mark.slow
def test_a_run_has_heartbeats_until_it_ends(store: Store, heartbeat_threads: HeartbeatThreads) -> None:
    began = time.time()
    with TrackedRun.open(store, name="run", tags={}, params={}, beat_s=0.05) as run:
        assert abs(heartbeat_of(store, run.id) - began) <= 2
        store.client.set_tag(run.id, "heartbeat", "1")
        wait_until(lambda: heartbeat_of(store, run.id) >= began - 1)
        assert heartbeat_threads() == 1
    assert heartbeat_threads() == 0
    store.client.set_tag(run.id, "heartbeat", "1")
    time.sleep(0.3)
    assert heartbeat_of(store, run.id) == 1


@pytest.mark.slow
def test_a_parent_has_heartbeats_until_it_is_closed(store: Store, heartbeat_threads: HeartbeatThreads) -> None:
    run = parent.open_parent(store, "sweep", [], beat_s=0.05)
    assert parent.open_parent(store, "sweep", []) == run
    assert heartbeat_threads() == 1
    store.client.set_tag(run, "heartbeat", "1")
    wait_until(lambda: heartbeat_of(store, run) > 1)
    parent.close_parent(store, run, "FINISHED")
    assert heartbeat_threads() == 0


@pytest.mark.slow
def test_heartbeats_continue_after_tracking_errors(store: Store, heartbeat_threads: HeartbeatThreads) -> None:
    run = add(store, "RUNNING")
    heartbeat = liveness.Heartbeat(store.client, "no such run", every=0.01)
    time.sleep(0.2)
    assert heartbeat_threads() == 1  # still retrying
    heartbeat.stop()
    assert heartbeat_threads() == 0
    assert "heartbeat" not in store.client.get_run(run).data.tags


@pytest.mark.slow
def test_a_parent_is_closed_by_its_first_owner_after_the_second_died(store: Store) -> None:
    run = parent.open_parent(store, "sweep", [])
    store.client.set_tag(run, "owner", GONE)
    assert queries.mark_dead_runs_killed(store) == [run]
    parent.close_parent(store, run, "FINISHED")
    mlflow_run = store.client.get_run(run)
    assert mlflow_run.info.status == "FINISHED"
    assert "error" not in mlflow_run.data.tags


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until the condition is true; fail after the given seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def train_until_signal(uri: str) -> None:
    """Open a run, print its id, and compute until a signal, without flushing the buffer of metrics."""
    store = open_store(uri, "exp")
    with stoppable(), TrackedRun.open(store, name="busy", tags={}, params={}, beat_s=0.1) as run:
        print(run.id, flush=True)
        while True:
            sum(range(1000))


@pytest.fixture
def busy(store: Store) -> Iterator[Process]:
    process = Process(train_until_signal, store.uri)
    yield process
    process.kill()
    process.wait()


@pytest.mark.slow
def test_a_run_has_heartbeats_within_an_epoch_and_ends_at_a_signal(store: Store, busy: Process) -> None:
    run_id = busy.stdout.readline().strip()
    for _ in range(2):
        store.client.set_tag(run_id, "heartbeat", "1")
        wait_until(lambda: heartbeat_of(store, run_id) > 1)
    busy.send_signal(signal.SIGTERM)
    assert busy.wait(10) != 0
    assert store.client.get_run(run_id).info.status == "KILLED"
    store.client.set_tag(run_id, "heartbeat", "1")
    time.sleep(0.3)
    assert heartbeat_of(store, run_id) == 1
