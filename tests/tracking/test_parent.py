import json
import threading

import pytest

from reglab.tracking import liveness, parent, queries
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store


def job(name: str, setting: str = "s", **other: object) -> parent.Job:
    return {"config_hash": name, "strategy": "none", "seed": 0, "setting": setting, **other}


def test_each_start_adds_its_jobs() -> None:
    first = parent.merge_jobs([], [job("a"), job("b"), job("c", "old")])
    second = parent.merge_jobs(first, [job("d"), job("a", label="new")])
    assert [(j["config_hash"], j["start"]) for j in second] == [("a", 2), ("b", 1), ("c", 1), ("d", 2)]
    assert second[0]["label"] == "new"
    assert parent.merge_jobs(second, []) == second


def test_reports_cover_the_jobs_with_the_settings_of_the_last_start() -> None:
    def names(*starts: list[parent.Job]) -> str:
        declared: list[parent.Job] = []
        for start in starts:
            declared = parent.merge_jobs(declared, start)
        return "".join(j["config_hash"] for j in parent.jobs_to_report(declared))

    long = [job("a", "20 epochs"), job("b", "20 epochs")]
    short = [job("x", "5 epochs")]
    assert names(long) == "ab"
    assert names(long, short) == "x"
    assert names(long, short, [job("c", "20 epochs")]) == "abc"  # earlier jobs with the settings of the last start
    assert names(long, [*short, job("c", "20 epochs")]) == "abxc"
    assert names() == ""


def test_reports_cover_the_last_code_of_a_strategy() -> None:
    def l2(name: str, code: str) -> parent.Job:
        return job(name, strategy="l2", strategy_code=code)

    none = job("n", strategy_code="")
    starts = [[none, l2("a", "old"), l2("b", "old")], [none, l2("c", "new")]]
    declared: list[parent.Job] = []
    for start in starts:
        declared = parent.merge_jobs(declared, start)
    assert [j["config_hash"] for j in parent.jobs_to_report(declared)] == ["n", "c"]
    declared = parent.merge_jobs(declared, [none])  # no job of l2: its last declared job stays
    assert [j["config_hash"] for j in parent.jobs_to_report(declared)] == ["n", "c"]


@pytest.mark.slow
def test_a_reopened_parent_is_the_same_run(store: Store) -> None:
    first = parent.open_parent(store, "digits-mlp", [job("a")], tags={"data": "digits"})
    run = store.client.get_run(first)
    assert (run.info.status, run.info.run_name) == ("RUNNING", "digits-mlp")
    tags = run.data.tags
    assert (tags["phase"], tags["sweep"], tags["data"], tags["owner"]) == (
        "parent",
        "digits-mlp",
        "digits",
        liveness.this_process(),
    )
    assert "strategy" not in tags
    parent.close_parent(store, first, "KILLED")
    assert store.client.get_run(first).info.status == "KILLED"

    assert parent.open_parent(store, "digits-mlp", [job("b")]) == first
    assert store.client.get_run(first).info.status == "RUNNING"
    assert [j["config_hash"] for j in parent.declared(store, first)] == ["a", "b"]
    assert parent.open_parent(store, "other's", [job("a")]) != first
    assert parent.open_parent(store, "other's", [job("a")]) == parent.find_parent(store, "other's")


def test_a_deleted_parent_is_created_again(store: Store) -> None:
    first = parent.open_parent(store, "sweep", [job("a")])
    store.client.delete_run(first)
    second = parent.open_parent(store, "sweep", [job("b")])
    assert second != first
    assert [j["config_hash"] for j in parent.declared(store, second)] == ["b"]


@pytest.mark.slow
def test_concurrent_starts_create_one_parent(store: Store) -> None:
    run_ids: list[str] = []
    threads = [
        threading.Thread(target=lambda name=name: run_ids.append(parent.open_parent(store, "sweep", [job(name)])))
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(run_ids) == 4
    assert len(set(run_ids)) == 1
    assert sorted(j["config_hash"] for j in parent.declared(store, run_ids[0])) == ["a", "b", "c", "d"]


def test_a_parent_reopened_by_another_process_stays_open(store: Store) -> None:
    run = parent.open_parent(store, "sweep", [job("a")])
    store.client.set_tag(run, "owner", '{"host": "elsewhere", "pid": 1, "born": "before"}')
    parent.close_parent(store, run, "FINISHED")
    assert store.client.get_run(run).info.status == "RUNNING"


def test_a_reopened_parent_has_no_error_tag(store: Store) -> None:
    run = parent.open_parent(store, "sweep", [job("a")])
    store.client.set_tag(run, "owner", json.dumps(json.loads(liveness.this_process()) | {"born": "before"}))
    assert queries.mark_dead_runs_killed(store) == [run]
    assert "error" in store.client.get_run(run).data.tags
    parent.open_parent(store, "sweep", [job("a")])
    assert "error" not in store.client.get_run(run).data.tags


def test_a_parent_that_fails_to_open_is_marked_failed(store: Store) -> None:
    with pytest.raises(TypeError):
        parent.open_parent(store, "sweep", [job("a", bad=object())])
    run = parent.find_parent(store, "sweep")
    assert run is not None
    assert store.client.get_run(run).info.status == "FAILED"


@pytest.mark.slow
def test_children_are_those_of_this_parent(store: Store) -> None:
    first, second = (parent.open_parent(store, name, [job("a")]) for name in ("one", "two"))
    ids = []
    for under in (first, first, second):
        with TrackedRun.open(store, name="child", tags={}, params={}, parent=under) as run:
            ids.append(run.id)
    assert [r.run_id for r in parent.children(store, first)] == ids[:2]
    assert [r.run_id for r in parent.children(store, second)] == ids[2:]
