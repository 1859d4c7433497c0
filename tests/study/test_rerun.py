"""Reruns of runs in real stores."""

import shutil
from pathlib import Path

import pytest
from mlflow.entities import Metric

from reglab.config.compose import compose
from reglab.paths import CONF
from reglab.report.run_filter import filter_runs
from reglab.schema.errors import ConfigError, Diverged
from reglab.study.publish import compare
from reglab.study.rerun import compared_metrics, rerun
from reglab.tracking import artifacts, queries
from reglab.tracking.store import Store, open_store
from reglab.training.run import run
from tests.errors import check_error
from tests.execution.sweeps import children, parent, sweep

NAMES = ["data=digits", "model.hidden_sizes=[8]", "trainer.max_epochs=2", "trainer.progress=false"]


@pytest.fixture
def store(store_uri: str) -> Store:
    return open_store(store_uri, "mine")


def train_run(store: Store, *overrides: str, folder: Path = CONF) -> str:
    """Train and track a run as the pipeline does, and return its id."""
    lines = [*NAMES, *overrides, f"tracking.uri={store.uri}", "tracking.experiment=mine"]
    return run(compose(lines, folder=folder), lines).run_id


def record(store: Store, run_id: str) -> queries.Record:
    tracked_run = queries.get(store, run_id)
    assert tracked_run is not None
    return tracked_run


def reruns(store: Store) -> list[queries.Record]:
    return [tracked_run for tracked_run in queries.runs(store) if "rerun_of" in tracked_run.tags]


@pytest.mark.slow
def test_a_rerun_is_equal_in_every_bit(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    first = train_run(store, "regularizer=[dropout,l1]", "seed=3")
    assert rerun(store.uri, first) is True
    (again,) = reruns(store)
    then = record(store, first)
    assert compared_metrics(then) == compared_metrics(again)
    assert set(then.metrics) - set(compared_metrics(then)) == {"time/train_s", "time/step_ms"}
    assert "time/epochs" in compared_metrics(then)  # a number of epochs, not a time
    proof = ("config_hash", "split_hash", "init_hash", "order_hash", "phase", "strategy", "seed")
    assert {tag: again.tags[tag] for tag in proof} == {tag: then.tags[tag] for tag in proof}
    assert (again.tags["rerun_of"], again.tags["rerun_equal"]) == (first, "true")
    out = capsys.readouterr().out
    assert out.startswith(f"dropout+l1 seed=3: repeating run {first}\nconfig: the same ({then.tags['config_hash']})\n")
    assert "packages, machine and commit: the same\n" in out
    assert f"all {len(compared_metrics(then))} metrics are equal to the last bit (" in out
    assert f"run {again.run_id}\n" in out
    assert rerun(store.uri, again.run_id) is True  # a rerun can be rerun


@pytest.mark.slow
def test_a_rerun_never_counts_in_a_report(store: Store, tmp_path: Path) -> None:
    train_run(store, "seed=0")
    first = train_run(store, "seed=1")
    assert rerun(store.uri, first)
    report_runs = filter_runs(queries.runs(store), "test/accuracy")
    assert sorted(tracked_run.tags["seed"] for tracked_run in report_runs.records) == ["0", "1"]
    assert first in {tracked_run.run_id for tracked_run in report_runs.records}
    identity = record(store, first).tags["config_hash"]
    assert queries.finished(store, [identity])[identity].run_id == first
    cfg = compose([f"tracking.uri={store.uri}", "tracking.experiment=mine", f"report.dir={tmp_path}/report"], "report")
    compare(cfg)
    assert (tmp_path / "report" / "leaderboard.csv").read_text().splitlines()[1].startswith("none,2,")


@pytest.mark.slow
def test_the_rerun_of_a_tuning_run_is_a_tuning_run(store: Store) -> None:
    first = train_run(store, "tracking.phase=tune", "+tracking.study=s")
    assert rerun(store.uri, first)
    (again,) = reruns(store)
    assert again.tags["phase"] == "tune"
    assert "study" not in again.tags
    assert filter_runs(queries.runs(store), "test/accuracy").records == []


@pytest.mark.slow
def test_a_changed_metric_is_shown_with_its_difference(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    first = train_run(store)
    loss = record(store, first).metrics["test/loss"]
    store.client.log_batch(first, [Metric("test/loss", loss - 0.25, 2**42, 999), Metric("own/figure", 1.5, 2**42, 0)])
    store.client.set_tag(first, "init_hash", "0123456789abcdef")
    capsys.readouterr()
    assert rerun(store.uri, first) is False
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["metric", "then", "now", "difference"] in lines
    assert ["test/loss", repr(loss - 0.25), repr(loss), "+0.25"] in lines
    assert ["own/figure", "1.5", "-", "-"] in lines
    total = len(compared_metrics(record(store, first)))
    assert f"2 of {total} metrics differ (times are not compared)".split() in lines
    assert any(line[:2] == ["init_hash", "0123456789abcdef"] for line in lines)
    assert reruns(store)[0].tags["rerun_equal"] == "false"


@pytest.mark.slow
def test_a_changed_default_is_shown_and_used(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = shutil.copytree(CONF, tmp_path / "conf")
    default = (conf / "regularizer" / "dropout.yaml").read_text()
    assert "\n  p: 0.5" in default
    (conf / "regularizer" / "dropout.yaml").write_text(default.replace("\n  p: 0.5", "\n  p: 0.25"))
    first = train_run(store, "regularizer=dropout", folder=conf)
    capsys.readouterr()
    assert rerun(store.uri, first) is False
    (again,) = reruns(store)
    then, now = (tracked_run.tags["config_hash"] for tracked_run in (record(store, first), again))
    assert then != now
    out = capsys.readouterr().out
    assert f"config: different (config_hash was {then}, is {now})\n" in out
    assert ["regularizer.dropout.p", "0.25", "0.5"] in [line.split() for line in out.splitlines()]


@pytest.mark.slow
def test_other_packages_are_shown(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    first = train_run(store)
    files = artifacts.of_run(store, first)
    environment = files.read_text("environment.json") or ""
    files.write_text(environment.replace('"reglab": "', '"reglab": "0.0.'), "environment.json")
    capsys.readouterr()
    assert rerun(store.uri, first) is True
    out = capsys.readouterr().out
    assert "packages, machine or code: different\n" in out
    assert any(line.split()[:1] == ["packages.reglab"] for line in out.splitlines())


@pytest.mark.slow
def test_runs_of_a_sweep_of_an_experiment(store_uri: str) -> None:
    folder = Path(store_uri.removeprefix("sqlite:///")).parent
    few = ("experiment=compare", "regularizer=none,[dropout,l1]", "seed=4", "data.train_size=200")
    assert sweep(folder, *few) == 0
    for first in children(folder):
        assert rerun(store_uri, first.run_id) is True
    again = [tracked_run for tracked_run in children(folder) if "rerun_of" in tracked_run.tags]
    assert len(again) == 2
    assert {tracked_run.tags["phase"] for tracked_run in again} == {"sweep"}
    assert all(
        "mlflow.parentRunId" not in tracked_run.tags and "sweep" not in tracked_run.tags for tracked_run in again
    )
    assert again[1].params["regularizer.dropout.p"] == "0.5"
    with pytest.raises(ConfigError) as refused:
        rerun(store_uri, parent(folder).run_id)
    child_id = children(folder)[0].run_id
    check_error(refused.value, f"run_id={parent(folder).run_id}: parent compare ... such as {child_id}")


@pytest.mark.slow
def test_a_run_that_diverged_diverges_again(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Diverged) as caught:
        train_run(store, "optimizer=sgd", "optimizer.lr=1e30")
    first = caught.value.run_id  # type: ignore[attr-defined]
    assert rerun(store.uri, first) is True
    assert "it ended as before (Diverged: " in capsys.readouterr().out
    (again,) = reruns(store)
    assert (again.status, again.tags["rerun_equal"]) == ("FAILED", "true")
    store.client.set_tag(first, "diverged_step", "7")
    with pytest.raises(Diverged):
        rerun(store.uri, first)
