"""Reports of studies in a store: logged by MLflow's client, and of tiny studies from end to end."""

import csv
import json
from pathlib import Path

import pytest

from reglab.samplers.quasi_random import point
from reglab.schema.search_space import Range
from reglab.study.declaration import FILE
from reglab.study.publish import declared_runs, publish
from reglab.tracking import artifacts, parent, queries
from reglab.tracking.store import Store, open_store
from tests.report.runs_by_hand import log
from tests.report.study_by_hand import P, small
from tests.study.studies import run_tiny_study


@pytest.mark.slow
def test_trials_that_diverged_in_another_study_are_listed(store_uri: str, tmp_path: Path) -> None:
    """A study skips trials that diverged in another study; its report lists them as diverged."""
    store, lab = open_store(store_uri, "lab"), small()
    for record in lab.records:
        log(store, record.tags, record.metrics, status=record.status)
    parent_id = parent.open_parent(store, "mine", [], kind="study")
    parent.replace_declared(store, parent_id, lab.jobs)
    definition = {"metric": "test/accuracy", "select_by": ["best/val/accuracy"], "direction": "max"}
    definition |= {"trials": 3, "max_seconds": None}
    definition |= {"tuning_seeds": [1000], "sampler": "quasi_random", "search_seed": 0, "pruning": None}
    definition |= {"baseline": "none", "space": {"none": {}, "dropout": {"p": P}, "l2": {}}}
    artifacts.of_run(store, parent_id).write_text(json.dumps(definition), FILE)

    records, absent = declared_runs(store, parent_id)
    assert [r.tags["strategy"] for r in records if r.status == "FAILED"] == ["l2"]
    assert absent == ["hash8"]  # only the failed trial would be repeated

    report = publish(store, parent_id, folder=tmp_path / "out")
    assert "l2, tuning trial 0" in report.page.read_text()
    table = artifacts.of_run(store, parent_id).read_text("report/tuning.csv")
    assert table == (tmp_path / "out" / "tuning.csv").read_text()
    outcomes = {(row["strategy"], row["trial"]): row["status"] for row in csv.DictReader(table.splitlines())}
    assert (outcomes["l2", "0"], outcomes["l2", "1"], outcomes["l2", "2"]) == ("diverged", "finished", "not done")


@pytest.mark.slow
@pytest.mark.usefixtures("store_uri")
def test_a_tiny_study_from_end_to_end(tmp_path: Path) -> None:
    rows, store = study(
        tmp_path,
        "study.strategies=[none,max_norm]",
        "study.trials=4",
        "study.common.trainer.max_epochs=1",
        "study.search_seed=5",
    )
    numbers = sorted((row["strategy"], int(row["trial"])) for row in rows)
    assert numbers == [(strategy, trial) for strategy in ("max_norm", "none") for trial in range(4)]
    space = (
        Range("optimizer.lr", 1e-4, 1e-2, log=True),
        Range("regularizer.max_norm.max_norm", 1.0, 5.0, off=float("inf")),
    )
    scores = _scores(store)
    for row in rows:
        values = {key: float(value) for key, value in json.loads(row["values"]).items()}
        assert values == {k: v for k, v in point(5, space, int(row["trial"])).items() if k in values}
        assert float(row["score"]) == pytest.approx(scores[row["strategy"], values["optimizer.lr"]])
        assert (row["status"], row["seeds"]) == ("finished", "2")
    for strategy in ("none", "max_norm"):
        rows_of_strategy = [row for row in rows if row["strategy"] == strategy]
        (chosen,) = [row for row in rows_of_strategy if row["chosen"] == "true"]
        assert float(chosen["score"]) == max(float(row["score"]) for row in rows_of_strategy)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "max_norm.max_norm=inf)" in page  # hover text of a trial that was off


@pytest.mark.slow
@pytest.mark.usefixtures("store_uri")
def test_a_pruned_study_from_end_to_end(tmp_path: Path) -> None:
    rows, _ = study(
        tmp_path,
        "study.strategies=[none,l2]",
        "study.trials=4",
        "study.common={model:{hidden_sizes:[8]},trainer:{max_epochs:2},data:{train_size:100}}",
        "study.pruning={eta:2,rungs:2}",
        "study.tuning_seeds=1",
    )
    for strategy in ("none", "l2"):
        rows_of_strategy = [row for row in rows if row["strategy"] == strategy]
        assert sorted((row["rung"], row["status"]) for row in rows_of_strategy) == [
            ("0", "pruned"),
            ("0", "pruned"),
            ("1", "finished"),
            ("1", "finished"),
        ]
        assert [row["rung"] for row in rows_of_strategy if row["chosen"] == "true"] == ["1"]
    assert "What more tuning brings" not in (tmp_path / "report" / "report.html").read_text()


def study(folder: Path, *overrides: str) -> tuple[list[dict[str, str]], Store]:
    """Run a tiny study; return the rows of its tuning.csv, and its store."""
    assert run_tiny_study(folder, "study.tuning_seeds=2", "study.seeds=2", *overrides) == 0
    rows = list(csv.DictReader((folder / "report" / "tuning.csv").open()))
    return rows, open_store(f"sqlite:///{folder}/mlflow.db", "reglab")


def _scores(store: Store) -> dict[tuple[str, float], float]:
    """Return the mean best validation accuracy of the tuning runs, by strategy and learning rate."""
    scores: dict[tuple[str, float], list[float]] = {}
    for record in queries.runs(store, tags={"phase": "tune"}):
        key = record.tags["strategy"], float(record.params["optimizer.lr"])
        scores.setdefault(key, []).append(record.metrics["best/val/accuracy"])
    return {key: sum(values) / len(values) for key, values in scores.items()}
