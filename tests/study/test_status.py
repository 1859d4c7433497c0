"""Counts of finished, running, failed and missing runs in a real store."""

from collections import Counter

import pytest

from reglab.paths import PROJECT
from reglab.study.status import experiment_status, print_status, summary_lines
from reglab.tracking import parent
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store, open_store
from tests.errors import config_error
from tests.processes import Process

JOBS = [
    {
        "config_hash": f"{name}{seed}",
        "strategy": name,
        "task": "digits mlp",
        "phase": phase,
        "setting": "s",
        "seed": seed,
        "trial": 0,
    }
    for name in ("none", "dropout")
    for phase, seed in (("tune", 1000), ("confirm", 0), ("confirm", 1))
]


@pytest.fixture
def store(store_uri: str) -> Store:
    return open_store(store_uri, "reglab")


def run(store: Store, identity: str, error: Exception | None = None, under: str | None = None, **tags: str) -> None:
    given = {"config_hash": identity, **tags}
    try:
        with TrackedRun.open(store, name=identity, tags=given, params={}, parent=under):
            if error is not None:
                raise error
    except ValueError:
        pass


@pytest.mark.slow
def test_every_state_is_counted(store: Store) -> None:
    parent_id = parent.open_parent(store, "quick", [], kind="study")
    parent.replace_declared(
        store, parent_id, [*JOBS, {"config_hash": None, "strategy": "l2", "task": "digits mlp", "phase": "confirm"}]
    )
    run(store, "none1000")
    run(store, "none0", ValueError("broken"))
    run(store, "none0")  # second attempt
    run(store, "none1", ValueError("broken"))
    run(store, "dropout1000", ValueError("the loss is not finite"), diverged="true")
    run(store, "dropout0", rerun_of="another")
    TrackedRun.open(store, name="alive", tags={"config_hash": "dropout1"}, params={})
    counts = {(arm.strategy, arm.phase): arm.states for arm in experiment_status(store)[0]}
    assert counts == {
        ("none", "tune"): Counter(done=1),
        ("none", "confirm"): Counter(done=1, failed=1),
        ("dropout", "tune"): Counter(diverged=1),
        ("dropout", "confirm"): Counter(missing=1, running=1),  # a rerun does not count
        ("l2", "confirm"): Counter(missing=1),
    }
    (line,) = summary_lines(experiment_status(store)[0])
    name, _, counts = line.partition(": ")
    assert name == "quick"
    assert counts.split(", ") == ["2 of 7 done", "1 running", "1 failed", "1 diverged", "2 missing"]


def test_arms_of_a_sweep_are_named_after_its_data(store: Store) -> None:
    jobs = [{"config_hash": "a", "strategy": "none", "data": "digits", "setting": "s", "seed": "0", "label": "none"}]
    parent.open_parent(store, "first", jobs)
    run(store, "a", ValueError("the loss is not finite"), diverged="true")
    (arm,) = experiment_status(store)[0]
    assert (arm.name, arm.task, arm.phase, arm.states) == ("first", "digits", "sweep", Counter(diverged=1))


@pytest.mark.slow
def test_runs_that_are_no_longer_declared_are_counted_in_a_line(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    base = {"strategy": "none", "data": "digits", "seed": "0", "label": "none"}
    parent_id = parent.open_parent(
        store, "first", [{"config_hash": f"old{seed}", "setting": "s", **base} for seed in range(2)]
    )
    for identity in ("old0", "old0", "old1", "new"):
        run(store, identity, under=parent_id)
    run(store, "old1", rerun_of="another", under=parent_id)
    parent.open_parent(store, "first", [{"config_hash": "new", "setting": "t", **base}])  # other epochs, for example
    assert experiment_status(store)[1] == {"first": 2}
    print_status(store, "first")
    assert "first: 1 of 1 done\nfirst: 2 more runs" in capsys.readouterr().out


def test_an_unknown_name_is_refused_with_the_remedy(store: Store) -> None:
    with config_error("tracking.experiment=reglab: no sweep ... make compare"):
        print_status(store, None)
    parent.open_parent(store, "quick", JOBS, kind="study")
    with config_error("name=quik: no such sweep ... quick?"):
        print_status(store, "quik")


@pytest.mark.slow
def test_the_command_prints_it(store: Store) -> None:
    parent.open_parent(store, "quick", JOBS, kind="study")
    parent.open_parent(store, "another", JOBS, kind="study")
    process = Process(PROJECT / "pipelines" / "status.py", f"tracking.uri={store.uri}", "name=quick")
    output = process.communicate()
    assert process.returncode == 0, output
    assert "quick: digits mlp" in output
    assert output.endswith("quick: 0 of 6 done, 6 missing\n")
    assert "another" not in output
