"""Whole studies of tiny runs on a real store: trained once, extended, and refused if changed under the same name."""

import json
import re
from pathlib import Path

import pytest

from reglab.config.compose import Composer
from reglab.schema.errors import ConfigError
from reglab.study.publish import compare
from reglab.tracking import artifacts, parent, queries
from tests.conftest import fresh_store
from tests.errors import config_error
from tests.execution.sweeps import children, output_overrides, store
from tests.study.studies import leaderboard_rows, run_tiny_study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Folder of a finished study."""
    folder = tmp_path_factory.mktemp("study")
    fresh_store(empty_database, folder)
    assert run_tiny_study(folder) == 0
    return folder


def test_a_study_tunes_and_confirms_and_reports(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = children(folder)
    assert [(r.tags["phase"], r.tags["strategy"], r.tags["seed"], r.status) for r in runs] == [
        *(("tune", name, "1000", "FINISHED") for name in ("none", "none", "dropout", "dropout")),
        *(("confirm", name, str(seed), "FINISHED") for name in ("none", "dropout") for seed in range(3)),
    ]
    assert {run.tags["study"] for run in runs} == {"tiny"}
    assert len({run.tags["setting"] for run in runs if run.tags["phase"] == "confirm"}) == 1
    rows = leaderboard_rows(folder)
    assert [(row[0], row[1]) for row in sorted(rows[1:])] == [("dropout", "3"), ("none", "3")]


def test_the_trial_with_the_best_validation_score_is_confirmed(folder: Path) -> None:
    runs = children(folder)
    for name in ("none", "dropout"):
        tuned = [r for r in runs if r.tags["phase"] == "tune" and r.tags["strategy"] == name]
        best = max(tuned, key=lambda run: run.metrics["best/val/accuracy"])
        confirmed = {
            r.params["optimizer.lr"] for r in runs if (r.tags["phase"], r.tags["strategy"]) == ("confirm", name)
        }
        assert confirmed == {best.params["optimizer.lr"]}


def test_the_parent_run_contains_the_declaration(folder: Path) -> None:
    parent_id = parent.find_parent(store(folder), "tiny", "study")
    assert parent_id is not None
    record = queries.run(store(folder), parent_id)
    assert record.status == "FINISHED"
    assert record.tags["phase"] == "parent"
    assert "strategy" not in record.tags
    kept = artifacts.of_run(store(folder), parent_id)
    declared = json.loads(kept.read_text("declared.json") or "")
    assert {job["config_hash"] for job in declared} == {run.tags["config_hash"] for run in children(folder)}
    assert json.loads(kept.read_text("study.json") or "")["trials"] == 2
    assert (kept.read_text("report/report.html") or "").startswith("<!doctype html>")


def test_a_second_start_trains_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, leaderboard = len(children(folder)), leaderboard_rows(folder)
    assert run_tiny_study(folder) == 0
    assert len(children(folder)) == before
    assert leaderboard_rows(folder) == leaderboard
    assert "10 of about 10 runs are already finished" in capsys.readouterr().out


def test_more_seeds_add_the_missing_ones_only(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(children(folder))
    assert run_tiny_study(folder, "seeds=5") == 0
    assert len(children(folder)) == before + 4
    assert {row[1] for row in leaderboard_rows(folder)[1:]} == {"5"}


def test_runs_left_out_by_fewer_seeds_are_reported(folder: Path) -> None:
    assert run_tiny_study(folder, "seeds=4") == 0
    assert {row[1] for row in leaderboard_rows(folder)[1:]} == {"4"}
    page = (folder / "report" / "report.html").read_text()
    assert "2 confirmation runs were left out" in page
    assert run_tiny_study(folder, "seeds=5") == 0


def test_the_report_is_reproduced_from_the_tracker(folder: Path) -> None:
    leaderboard = leaderboard_rows(folder)
    cfg = Composer("report").compose(["sweep=tiny", *output_overrides(folder)])
    report = compare(cfg)
    assert leaderboard_rows(folder) == leaderboard
    assert (folder / "report" / "tuning.csv").exists()
    assert report.findings.question.metric == "test/accuracy"
    with pytest.raises(ConfigError, match=r"^sweep=tinny: no such sweep or study"):
        compare(Composer("report").compose(["sweep=tinny", *output_overrides(folder)]))


def test_a_damaged_declaration_is_a_one_line_error(folder: Path) -> None:
    kept = artifacts.of_run(store(folder), parent.find_parent(store(folder), "tiny", "study") or "")
    whole = kept.read_text("study.json") or ""
    good, cfg = json.loads(whole), Composer("report").compose(["sweep=tiny", *output_overrides(folder)])
    wrong: dict[str, object] = {"trials": "2", "select_by": [], "tuning_seeds": {}, "sampler": 5, "direction": None}
    wrong |= {"pruning": {"eta": 3}, "metric": ["test/accuracy"], "baseline": {}, "max_seconds": [1]}
    spaces = [[], {"none": []}, {"none": {"optimizer.lr": {"key": "optimizer.lr", "low": 1, "high": "x"}}}]
    texts = [json.dumps({**good, key: value}) for key, value in [*wrong.items(), *(("space", s) for s in spaces)]]
    texts += ["", "[]", "null", "[" * 100_000, whole[:-20], json.dumps({k: good[k] for k in ("metric", "trials")})]
    texts.append("{")
    for text in texts:
        kept.write_text(text, "study.json")
        with pytest.raises(ConfigError, match=r"^run_id=\w{32}: study\.json is damaged"):
            compare(cfg)
    with pytest.raises(ConfigError, match=r"^run_id=\w{32}: study\.json is damaged"):
        run_tiny_study(folder)
    kept.write_text(whole, "study.json")


def test_a_read_only_store_is_reported_without_being_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = parent.find_parent(store(folder), "tiny", "study")
    kept = artifacts.of_run(store(folder), run_id or "").dir
    assert kept is not None
    before = (kept / "report" / "report.html").stat().st_mtime_ns
    leaderboard, page = leaderboard_rows(folder), folder / "report" / "report.html"
    page.unlink()
    (folder / "mlflow.db").chmod(0o444)
    try:
        compare(Composer("report").compose(["sweep=tiny", *output_overrides(folder)]))
    finally:
        (folder / "mlflow.db").chmod(0o644)
    assert f"the report is not stored on run {run_id} (the store is read-only)" in capsys.readouterr().err
    assert leaderboard_rows(folder) == leaderboard
    assert page.exists()
    assert (kept / "report" / "report.html").stat().st_mtime_ns == before


def test_another_definition_needs_another_version(folder: Path) -> None:
    before = len(children(folder))
    with pytest.raises(ConfigError) as refused:
        run_tiny_study(folder, "study.trials=3")
    assert (refused.value.key, refused.value.value) == ("study.name", "tiny")
    assert "study.trials was 2 and is 3" in refused.value.problem
    assert "study.version=2" in refused.value.remedy
    with pytest.raises(ConfigError) as refused:
        run_tiny_study(folder, "study.strategies=[none,l2]", "study.common.data.train_size=200")
    assert re.search("without .*=100 and with .*=200", refused.value.problem)
    assert "without dropout and with l2" in refused.value.problem
    assert len(children(folder)) == before
    assert run_tiny_study(folder, "study.trials=3", "study.version=2", "dry_run=true") == 0


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny_study(folder, "seeds=7", "study.version=2", "dry_run=true") == 0
    out = capsys.readouterr().out
    assert "runs left for 1 worker: about" in out
    assert parent.find_parent(store(folder), "tiny-v2", "study") is None
    assert run_tiny_study(tmp_path, "dry_run=true") == 0
    out = capsys.readouterr().out
    assert "10 runs left for 1 worker: time unknown" in out
    (fixed,) = re.findall("fixed by study.common: (.*)", out)
    assert {"data.train_size=100", "data.label_noise=0.4", "data.batch_size=50"} <= set(fixed.split())
    assert queries.runs(store(tmp_path)) == []
    with config_error("study.common.trainer.limit_train_batches=0.01: none of 2 "):
        run_tiny_study(tmp_path, "dry_run=true", "+study.common.trainer.limit_train_batches=.01")


@pytest.mark.usefixtures("store_uri")
def test_a_diverged_trial_is_a_result_and_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = ["study.name=wild", "study.space.optimizer.lr={low:1e30,high:1e35}", "+study.common.optimizer=sgd"]
    wild += ["study.strategies=[none,dropout]", "study.seeds=1"]
    code = run_tiny_study(tmp_path, *wild)
    out = capsys.readouterr().out
    assert {run.tags.get("diverged") for run in children(tmp_path)} == {"true"}
    assert code == 1  # nothing could be confirmed
    assert "none on digits mlp, train_size 100" in out
    assert "all 2 trials failed" in out
    assert "diverged runs are not retried" in out
    assert "run the same command again" not in out
    assert run_tiny_study(tmp_path, *wild) == 1
    assert len(children(tmp_path)) == 4  # diverged runs are not repeated


@pytest.mark.usefixtures("store_uri")
def test_the_headline_names_a_strategy_without_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = ["+study.space.regularizer.l2.strength={low:1e25,high:1e35,log:true}", "+study.common.optimizer=sgd"]
    assert run_tiny_study(tmp_path, "study.strategies=[none,l2]", "study.trials=1", *wild) == 1
    out = capsys.readouterr().out
    assert "No trial of l2 on digits has a score" in " ".join(out.split())
    assert {run.tags["strategy"] for run in children(tmp_path) if run.status == "FINISHED"} == {"none"}


@pytest.mark.usefixtures("store_uri")
def test_a_table_that_changed_makes_another_study(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("x,y\n" + "".join(f"{row % 7},{'ab'[row % 2]}\n" for row in range(40)))
    task = f"study.tasks=[{{data:csv,data.path:'{table}',data.target:y,data.label_noise:0}}]"
    tiny = [task, "study.common.data.train_size=null", "study.trials=1", "study.seeds=1"]
    assert run_tiny_study(tmp_path, *tiny) == 0
    table.write_text(table.read_text() + "3,a\n")
    with pytest.raises(ConfigError, match=r"files.table mlp was \w{16} and is \w{16}\)"):
        run_tiny_study(tmp_path, *tiny)


@pytest.mark.usefixtures("store_uri")
@pytest.mark.parametrize("sampling", ["study.sampler=tpe", "study.pruning={eta:2,rungs:2}", "study.max_seconds=0.001"])
def test_other_searches_run_too(tmp_path: Path, sampling: str) -> None:
    assert (
        run_tiny_study(tmp_path, sampling, "study.trials=3", "study.seeds=1", "study.common.trainer.max_epochs=2") == 0
    )
    tuned = [run for run in children(tmp_path) if run.tags["phase"] == "tune"]
    assert len(tuned) == {"tpe": 6, "{eta:2,rungs:2}": 10, "0.001": 2}[sampling.partition("=")[2]]


def test_a_wrong_study_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        run_tiny_study(tmp_path, "study.trials=0")
    assert not (tmp_path / "mlflow.db").exists()
