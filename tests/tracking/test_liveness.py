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


def before(seconds: float) -> str:
    return f"{time.time() - seconds:.0f}"


def beat(store: Store, run_id: str) -> float:
    return float(store.client.get_run(run_id).data.tags["heartbeat"])


Hearts = Callable[[], int]


@pytest.fixture
def hearts() -> Hearts:
    """Counts the threads that beat, beyond those of parents that earlier tests left open."""

    def beating() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "reglab-heartbeat"}

    earlier = beating()
    return lambda: len(beating() - earlier)


@pytest.mark.slow
def test_of_other_hosts_only_silent_runs_are_marked_killed(store: Store) -> None:
    silent = add(store, "RUNNING", owner=ELSEWHERE, heartbeat=before(310))
    heard = add(store, "RUNNING", owner=ELSEWHERE, heartbeat=before(290))
    unknown = [
        add(store, "RUNNING", owner=ELSEWHERE),
        *(add(store, "RUNNING", owner=ELSEWHERE, heartbeat=text) for text in ("soon", "nan", "inf", "-inf", "1e400")),
        *(add(store, "RUNNING", owner=ELSEWHERE, heartbeat=text) for text in ("9" * 400, before(-400), "x" * 8000)),
        *(
            add(store, "RUNNING", owner=OWNER.replace("PID", pid), heartbeat=before(310))
            for pid in ("-1", "0", "1e400")
        ),
        add(store, "RUNNING", heartbeat=before(310)),
        add(store, "RUNNING", owner=liveness.this_process(), heartbeat=before(310)),
    ]
    dead = add(store, "RUNNING", owner=GONE, heartbeat=before(1))
    silent_parent = add(store, "RUNNING", owner=ELSEWHERE, heartbeat=before(310), phase="parent")
    ended = add(store, "FINISHED", owner=ELSEWHERE, heartbeat=before(310))
    assert sorted(queries.mark_dead_runs_killed(store)) == sorted([silent, dead, silent_parent])
    assert queries.mark_dead_runs_killed(store) == []
    for run in (silent, silent_parent):
        found = store.client.get_run(run)
        assert found.info.status == "KILLED"
        assert found.data.tags["error"].startswith("no heartbeat for 5 minutes")
        assert "another host" in found.data.tags["error"]
    assert store.client.get_run(dead).data.tags["error"] == "its process ended without closing it"
    assert {store.client.get_run(run).info.status for run in (heard, *unknown)} == {"RUNNING"}
    assert store.client.get_run(ended).info.status == "FINISHED"


@pytest.mark.slow
def test_an_identity_is_taken_by_what_is_finished_or_known_to_be_trained(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, tags in enumerate(
        (
            {"heartbeat": before(1)},  # no owner of which anybody would know that it ended
            {"owner": OWNER.replace("PID", "-1"), "heartbeat": before(1)},
            {"owner": ELSEWHERE, "heartbeat": before(-90)},
            {"owner": ELSEWHERE},  # nobody knows
            {"owner": ELSEWHERE, "heartbeat": before(-400)},
            {"owner": ELSEWHERE, "heartbeat": "nan"},
            {"owner": ELSEWHERE, "heartbeat": before(310)},
            {"owner": GONE, "heartbeat": before(1)},
            {
                "owner": liveness.this_process(),
                "heartbeat": before(1),
            },  # a run of this process that could not be closed
            {"owner": ELSEWHERE, "heartbeat": before(1), "rerun_of": "x"},
        )
    ):
        run = add(store, "RUNNING", config_hash=f"h{number}", **tags)
        assert queries.reusable(store, f"h{number}") is None
        named = tags.get("owner") != liveness.this_process() and "rerun_of" not in tags
        assert capsys.readouterr().err.startswith(f"run {run} of the same config is RUNNING, and ") is named
    add(store, "FAILED", config_hash="a")
    assert queries.reusable(store, "a") is None
    running = add(store, "RUNNING", config_hash="a", owner=ELSEWHERE, heartbeat=before(1))
    taken = queries.reusable(store, "a")
    assert taken is not None
    assert (taken.run_id, taken.status) == (running, "RUNNING")
    done = [add(store, "FINISHED", config_hash="a") for _ in range(2)]
    add(store, "FINISHED", config_hash="a", rerun_of=done[0])
    taken = queries.reusable(store, "a")
    assert taken is not None
    assert taken.run_id == done[1]


@pytest.mark.slow
def test_a_run_beats_until_it_ends(store: Store, hearts: Hearts) -> None:
    began = time.time()
    with TrackedRun.open(store, name="run", tags={}, params={}, beat_s=0.05) as run:
        assert abs(beat(store, run.id) - began) <= 2
        store.client.set_tag(run.id, "heartbeat", "1")
        waited(lambda: beat(store, run.id) >= began - 1)
        assert hearts() == 1
    assert hearts() == 0
    store.client.set_tag(run.id, "heartbeat", "1")
    time.sleep(0.3)
    assert beat(store, run.id) == 1


@pytest.mark.slow
def test_a_parent_beats_until_it_is_closed(store: Store, hearts: Hearts) -> None:
    run = parent.open_parent(store, "sweep", [], beat_s=0.05)
    assert parent.open_parent(store, "sweep", []) == run
    assert hearts() == 1
    store.client.set_tag(run, "heartbeat", "1")
    waited(lambda: beat(store, run) > 1)
    parent.close_parent(store, run, "FINISHED")
    assert hearts() == 0


@pytest.mark.slow
def test_a_tracker_that_fails_is_no_concern_of_the_beat(store: Store, hearts: Hearts) -> None:
    run = add(store, "RUNNING")
    heart = liveness.Heartbeat(store.client, "no such run", every=0.01)
    time.sleep(0.2)
    assert hearts() == 1  # it goes on trying
    heart.stop()
    assert hearts() == 0
    assert "heartbeat" not in store.client.get_run(run).data.tags


@pytest.mark.slow
def test_a_parent_whose_later_owner_died_is_closed_by_the_earlier_one(store: Store) -> None:
    run = parent.open_parent(store, "sweep", [])
    store.client.set_tag(run, "owner", GONE)
    assert queries.mark_dead_runs_killed(store) == [run]
    parent.close_parent(store, run, "FINISHED")
    found = store.client.get_run(run)
    assert found.info.status == "FINISHED"
    assert "error" not in found.data.tags


def waited(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Fails unless the condition comes true in time."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def train_for_ever(uri: str) -> None:
    """A run whose id it prints, in an epoch without end, which never lets the buffer send."""
    store = open_store(uri, "exp")
    with stoppable(), TrackedRun.open(store, name="busy", tags={}, params={}, beat_s=0.1) as run:
        print(run.id, flush=True)
        while True:
            sum(range(1000))


@pytest.fixture
def busy(store: Store) -> Iterator[Process]:
    process = Process(train_for_ever, store.uri)
    yield process
    process.kill()
    process.wait()


@pytest.mark.slow
def test_a_process_deep_in_an_epoch_beats_and_a_signal_ends_it_at_once(store: Store, busy: Process) -> None:
    run_id = busy.stdout.readline().strip()
    for _ in range(2):
        store.client.set_tag(run_id, "heartbeat", "1")
        waited(lambda: beat(store, run_id) > 1)
    busy.send_signal(signal.SIGTERM)
    assert busy.wait(10) != 0
    assert store.client.get_run(run_id).info.status == "KILLED"
    store.client.set_tag(run_id, "heartbeat", "1")
    time.sleep(0.3)
    assert beat(store, run_id) == 1
