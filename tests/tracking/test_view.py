"""The saved view has the format of MLflow's page, and is updated when runs change."""

import json
from collections.abc import Callable

import pytest
from mlflow.entities import Metric

from reglab.tracking import view
from reglab.tracking.store import Store

Add = Callable[..., str]


@pytest.fixture
def add(store: Store) -> Add:
    """Return a function that adds a run: ``add("l1", {"test/accuracy": 0.9}, data="digits")``."""

    def make(strategy: str, metrics: dict[str, float] | None = None, **tags: str) -> str:
        all_tags = {"strategy": strategy, "data": "digits", "model": "mlp", "seed": "0", "phase": "sweep"} | tags
        run = store.client.create_run(store.experiment_id, tags={k: v for k, v in all_tags.items() if v}).info
        logged = [Metric(name, value, 0, 0) for name, value in (metrics or {"test/accuracy": 0.9}).items()]
        store.client.log_batch(run.run_id, logged)
        return run.run_id

    return make


def saved(store: Store) -> str:
    return store.client.get_experiment(store.experiment_id).tags["mlflow.sharedViewState.reglab"]


def grouped_by(state: dict) -> list[str]:
    return [key["groupByData"] for key in state["groupBy"]["groupByKeys"]]


def cards(state: dict, section: str) -> list[tuple[str, str]]:
    return [(c["metricKey"], c["type"]) for c in state["compareRunCharts"] if c["metricSectionId"] == section]


def test_a_view_is_decoded_as_encoded(store: Store) -> None:
    state = view.state(store.client, store.experiment_id) | {"name": "é ∞"}
    value = view.encode(state, 1, 2)
    assert view.decode(value) == state
    envelope = json.loads(value)
    assert (envelope["createdAt"], envelope["updatedAt"]) == (1, 2)  # the page requires numbers
    assert envelope["state"].startswith("deflate;eN")  # base64 of a zlib header


def test_save_writes_again_only_when_the_runs_change(store: Store, add: Add) -> None:
    add("none")
    assert view.save(store.client, store.experiment_id) == "reglab"
    first = saved(store)
    assert view.decode(first) == view.state(store.client, store.experiment_id)
    view.save(store.client, store.experiment_id)
    assert saved(store) == first

    add("l1", data="wine")
    view.save(store.client, store.experiment_id)
    assert json.loads(saved(store))["createdAt"] == json.loads(first)["createdAt"]
    assert grouped_by(view.decode(first)) == ["strategy"]
    assert grouped_by(view.decode(saved(store))) == ["strategy", "data"]  # no mean over data sets


def test_runs_that_may_not_be_averaged_are_grouped_by_the_tag_cell(store: Store, add: Add) -> None:
    for strategy in ("none", "dropout+l1"):
        add(strategy, cell=f"{strategy} on digits mlp")
    assert grouped_by(view.state(store.client, store.experiment_id)) == ["strategy"]
    add("none", cell="none on digits mlp, label_noise 0.4")
    state = view.state(store.client, store.experiment_id)
    assert grouped_by(state) == ["cell"]
    assert "tag.cell.none on digits mlp, label_noise 0.4" in state["groupsExpanded"]


def test_save_replaces_invalid_views(store: Store) -> None:
    broken = '{"name": "x", "createdAt": 1, "state": "deflate;%s"}'
    for invalid in (
        "",
        "{}",
        '{"state": 1, "createdAt": "x"}',
        "[]",
        broken % "?",
        broken % "QUJD",
        broken % "eNqrVg==",
    ):
        store.client.set_experiment_tag(store.experiment_id, "mlflow.sharedViewState.reglab", invalid)
        view.save(store.client, store.experiment_id)
        assert view.decode(saved(store))["runsHiddenMode"] == "SHOW_ALL"


def test_parents_tuning_and_reruns_are_left_out(store: Store, add: Add) -> None:
    kept = add("none")
    add("", phase="parent")
    assert view.state(store.client, store.experiment_id)["searchFilter"] == "tags.strategy != ''"
    add("l1", phase="tune")
    add("l1", rerun_of=kept)
    runs, more = view.first_page(store.client, store.experiment_id)
    assert [run.info.run_id for run in runs] == [kept]
    assert not more


def test_charts_follow_the_kind_of_task(store: Store, add: Add) -> None:
    epochs = {"train/loss": 1.0, "val/loss": 1.0}
    once = {"test/loss": 1.0, "gap/loss": 0.1}
    number = add("none", epochs | once | {"val/rmse": 1.0, "test/rmse": 1.0, "test/r2": 0.5})
    state = view.state(store.client, store.experiment_id)
    assert cards(state, "test") == [(name, "BAR") for name in ("test/rmse", "gap/loss", "test/r2")]
    assert cards(state, "val") == [("val/loss", "LINE"), ("val/rmse", "LINE"), ("train/loss", "LINE")]
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`test/rmse`", True)

    store.client.delete_run(number)
    names = {"val/accuracy": 0.5, "test/accuracy": 0.5, "test/balanced_accuracy": 0.5, "test/ece": 0.1}
    add("none", epochs | once | names)
    state = view.state(store.client, store.experiment_id)
    assert cards(state, "test") == [(name, "BAR") for name in ("test/accuracy", "gap/loss", "test/balanced_accuracy")]
    assert cards(state, "more of test") == [("test/ece", "BAR"), ("test/loss", "BAR")]
    assert cards(state, "val") == [("val/loss", "LINE"), ("val/accuracy", "LINE"), ("train/loss", "LINE")]
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`test/accuracy`", False)
    assert state["selectedColumns"] == [
        *("tags.`strategy`", "tags.`data`", "tags.`model`", "tags.`seed`"),
        *("metrics.`test/accuracy`", "metrics.`test/balanced_accuracy`", "metrics.`test/ece`", "metrics.`test/loss`"),
    ]


@pytest.mark.slow
def test_the_newest_runs_are_shown_if_there_are_more_than_a_page(store: Store, add: Add) -> None:
    add("none", {"test/accuracy": 1.0})
    for seed in range(view.PAGE):
        add("none", {"test/accuracy": 0.5}, seed=str(seed + 1))
    runs, more = view.first_page(store.client, store.experiment_id)
    assert more
    assert len(runs) == view.PAGE
    assert view.state(store.client, store.experiment_id)["orderByKey"] == "attributes.`start_time`"
    assert store.client.search_runs([store.experiment_id], order_by=["attributes.`start_time` DESC"], max_results=1)


def test_groups_are_folded(store: Store, add: Add) -> None:
    for name in ("none", "dropout+l1"):
        add(name)
    folded = {"tag.strategy.none": False, "tag.strategy.dropout+l1": False}
    assert view.state(store.client, store.experiment_id)["groupsExpanded"] == folded
    add("none", model="")
    ids = view.state(store.client, store.experiment_id)["groupsExpanded"]
    assert set(ids) == {"tag.strategy.none,tag.model.mlp", "tag.strategy.dropout+l1,tag.model.mlp"} | {
        "tag.strategy.none,tag.model.null"
    }


def test_strengths_that_differ_within_a_group_are_listed(store: Store, add: Add) -> None:
    for strategy, strength in (("none", ""), ("l1", "0.1"), ("dropout+l1", "0.2"), ("l1", "0.1")):
        run = add(strategy)
        if strength:
            store.client.log_param(run, "regularizer.l1.strength", strength)
    assert view.mixed_strengths(view.first_page(store.client, store.experiment_id)[0]) == []
    store.client.log_param(add("l1"), "regularizer.l1.strength", "0.3")
    assert view.mixed_strengths(view.first_page(store.client, store.experiment_id)[0]) == ["regularizer.l1.strength"]


def test_the_link_opens_the_charts_and_keeps_no_password() -> None:
    link = "http://host:5/mlflow/#/experiments/7/runs?workflowType=machine_learning"
    link += "&viewStateShareKey=reglab&compareRunsMode=CHART"
    assert view.link("http://me:secret@host:5/mlflow/", "7") == link
