import threading

import pytest

from reglab.tracking import parent
from reglab.tracking.owner import me
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store


def job(name: str, setting: str = "s", **other: object) -> parent.Job:
    return {"config_hash": name, "strategy": "none", "seed": 0, "setting": setting, **other}


def test_grown_keeps_jobs_of_the_same_setting() -> None:
    before = [job("a"), job("b"), job("c", "old")]
    assert parent.grown(before, [job("d")]) == [job("a"), job("b"), job("d")]
    assert parent.grown(before, [job("d", "new")]) == [job("d", "new")]
    assert parent.grown(before, [job("d", "new"), job("c", "old")]) == [job("c", "old"), job("d", "new")]
    assert parent.grown([], before) == before
    assert parent.grown(before, []) == before


def test_grown_lists_a_job_once_with_its_newer_description() -> None:
    assert parent.grown([job("a"), job("b")], [job("b"), job("a", seed=1), job("a", seed=2)]) == [
        job("a", seed=2),
        job("b"),
    ]


def test_entered_again_it_is_the_same_run_and_open(store: Store) -> None:
    first = parent.enter(store, "digits-mlp", [job("a")], tags={"data": "digits"})
    run = store.client.get_run(first)
    assert (run.info.status, run.info.run_name) == ("RUNNING", "digits-mlp")
    tags = run.data.tags
    assert (tags["phase"], tags["sweep"], tags["data"], tags["owner"]) == ("parent", "digits-mlp", "digits", me())
    assert "strategy" not in tags
    parent.close(store, first, "KILLED")
    assert store.client.get_run(first).info.status == "KILLED"

    assert parent.enter(store, "digits-mlp", [job("b")]) == first
    assert store.client.get_run(first).info.status == "RUNNING"
    assert [j["config_hash"] for j in parent.jobs(store, first)] == ["a", "b"]
    assert parent.enter(store, "other's", [job("a")]) != first
    assert parent.enter(store, "other's", [job("a")]) == parent.find(store, "other's")


def test_deleted_parent_is_made_anew(store: Store) -> None:
    first = parent.enter(store, "sweep", [job("a")])
    store.client.delete_run(first)
    second = parent.enter(store, "sweep", [job("b")])
    assert second != first
    assert [j["config_hash"] for j in parent.jobs(store, second)] == ["b"]


def test_two_starts_at_once_make_one_parent(store: Store) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda name=name: found.append(parent.enter(store, "sweep", [job(name)])))
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert sorted(j["config_hash"] for j in parent.jobs(store, found[0])) == ["a", "b", "c", "d"]


def test_parent_that_another_process_entered_since_stays_open(store: Store) -> None:
    run = parent.enter(store, "sweep", [job("a")])
    store.client.set_tag(run, "owner", '{"host": "elsewhere", "pid": 1, "started": 1.0}')
    parent.close(store, run, "FINISHED")
    assert store.client.get_run(run).info.status == "RUNNING"


def test_half_entered_parent_is_not_left_open(store: Store) -> None:
    with pytest.raises(TypeError):
        parent.enter(store, "sweep", [job("a", bad=object())])
    run = parent.find(store, "sweep")
    assert run is not None
    assert store.client.get_run(run).info.status == "FAILED"


def test_children_are_those_of_this_parent(store: Store) -> None:
    first, second = (parent.enter(store, name, [job("a")]) for name in ("one", "two"))
    ids = []
    for under in (first, first, second):
        with TrackedRun.open(store, name="child", tags={}, params={}, parent=under) as run:
            ids.append(run.id)
    assert [r.run_id for r in parent.children(store, first)] == ids[:2]
    assert [r.run_id for r in parent.children(store, second)] == ids[2:]
