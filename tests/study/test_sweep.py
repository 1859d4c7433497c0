"""Sweeps of tiny runs on a real store: resuming, failures, signals and reports."""

import csv
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from reglab.schema.errors import ConfigError
from reglab.study.sweep import check_baseline
from reglab.tracking import liveness, queries
from reglab.tracking import parent as parents
from reglab.tracking.environment import git_commit
from tests.errors import config_error
from tests.execution.sweeps import children, parent, store, sweep

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(store_uri: str) -> Path:
    """A folder with an empty database."""
    return Path(store_uri.removeprefix("sqlite:///")).parent


def leaderboard(folder: Path) -> dict[str, int]:
    """Return the number of runs of each entry of the leaderboard."""
    with (folder / "report" / "leaderboard.csv").open() as file:
        return {row["strategy"]: int(row["n"]) for row in csv.DictReader(file)}


def test_an_extended_sweep_trains_only_missing_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strengths = ("regularizer=none,dropout", "regularizer.dropout.p=.1,.3")
    assert sweep(folder, *strengths, "seed=0") == 0
    first = {record.run_id for record in children(folder)}
    out = capsys.readouterr().out
    assert "digits-mlp: 3 runs (2 strategies, 1 seed)" in out
    assert "[1/3] none seed=0  test/accuracy 0." in out
    assert "[3/3] dropout(p=0.3) seed=0  test/accuracy 0." in out
    assert "reused" not in out

    assert sweep(folder, *strengths, "seed=0,1") == 0
    out = capsys.readouterr().out
    runs = children(folder)
    commit = runs[0].tags["git_commit"][:7]
    assert f"3 of 6 runs are already finished (commit {commit}" in out
    assert "): reused (resume=false " in out
    assert "[4/6] none seed=1" in out
    assert len(runs) == 6
    assert first < {record.run_id for record in runs}
    assert {record.status for record in (*runs, parent(folder))} == {"FINISHED"}
    tags = [record.tags for record in runs]
    assert {(t["phase"], t["sweep"], t["mlflow.parentRunId"]) for t in tags} == {
        ("sweep", "digits-mlp", parent(folder).run_id)
    }
    assert len({t["config_hash"] for t in tags}) == 6
    declared = parents.declared(store(folder), parent(folder).run_id)
    assert [job["config_hash"] for job in declared] == [t["config_hash"] for t in tags]
    assert leaderboard(folder) == {"none": 2, "dropout(p=0.1)": 2, "dropout(p=0.3)": 2}


def test_runs_of_other_sweeps_are_reused_and_reported(folder: Path) -> None:
    assert sweep(folder, "seed=0", "sweep.name=first") == 0
    overrides = ["seed=0,1", "regularizer=none,l1", "sweep.name=second"]
    kept = (folder / "report" / "report.html").read_bytes()
    moved = folder / f"report-{parent(folder).run_id[:8]}"
    notes = folder / "report" / "notes.txt"
    notes.touch()
    with pytest.raises(ConfigError) as refused:
        sweep(folder, *overrides)
    problem = f"report.dir={folder}/report: contains the report of sweep first (run {parent(folder).run_id})"
    assert str(refused.value).startswith(problem)
    assert (folder / "report" / "report.html").read_bytes() == kept
    assert len(children(folder)) == 1
    notes.unlink()
    assert sweep(folder, *overrides) == 0
    assert (moved / "report.html").read_bytes() == kept
    assert len(children(folder)) == 4
    assert leaderboard(folder) == {"none": 2, "l1": 2}


def test_resume_false_trains_all_again_with_equal_numbers(folder: Path) -> None:
    assert sweep(folder, "regularizer=dropout") == 0
    assert sweep(folder, "regularizer=dropout", "resume=false") == 0
    before, after = (
        {name: value for name, value in record.metrics.items() if not name.startswith("time/")}
        for record in children(folder)
    )
    assert before == after
    assert leaderboard(folder) == {"dropout": 1}


def test_runs_left_by_a_dead_process_or_a_silent_host_are_killed_and_trained_again(folder: Path) -> None:
    assert sweep(folder, "seed=0,1") == 0
    left = children(folder)
    dead = {"owner": json.dumps(json.loads(liveness.this_process()) | {"pid": 2**22 - 1, "born": "before"})}
    silent = {
        "owner": json.dumps(json.loads(liveness.this_process()) | {"host": "another"}),
        "heartbeat": f"{time.time() - 310:.0f}",
    }
    for run, tags in zip(left, (dead, silent), strict=True):
        for key, value in tags.items():
            store(folder).client.set_tag(run.run_id, key, value)
        store(folder).client.update_run(run.run_id, status="RUNNING")
    assert sweep(folder, "seed=0,1") == 0
    killed, finished = children(folder)[:2], children(folder)[2:]
    assert [run.run_id for run in killed] == [run.run_id for run in left]
    assert [(run.tags["seed"], run.status) for run in killed] == [("0", "KILLED"), ("1", "KILLED")]
    assert [(run.tags["seed"], run.status) for run in finished] == [("0", "FINISHED"), ("1", "FINISHED")]


def test_reused_runs_are_printed_with_their_commit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(folder, "seed=0") == 0
    (run,) = children(folder)
    store(folder).client.set_tag(run.run_id, "git_commit", "0123456789abcdef")
    store(folder).client.set_tag(run.run_id, "git_dirty", "true")
    assert sweep(folder, "seed=0") == 0
    here = (git_commit() or "unknown")[:7]
    assert f"(commit 0123456 with changes; the code here is {here}" in capsys.readouterr().out


def test_one_failing_run_does_not_stop_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(folder, "optimizer=sgd", "optimizer.lr=1e30,1e-2", "seed=0,1") == 1
    out = capsys.readouterr().out
    runs = children(folder)
    assert [record.status for record in runs] == ["FAILED", "FINISHED"] * 2
    assert parent(folder).status == "FAILED"
    assert "[1/4] none optimizer.lr=1e+30 seed=0  FAILED" in out
    summary = out[out.index("2 of 4 runs failed") :]
    assert "error.txt" in summary
    assert all(record.run_id in summary for record in runs if record.status == "FAILED")
    assert (folder / "report" / "report.html").exists()


def test_fail_fast_stops_at_the_first_failure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(folder, "optimizer=sgd", "optimizer.lr=1e30,1e-2", "fail_fast=true") == 1
    assert [record.status for record in children(folder)] == ["FAILED"]
    assert "1 of 2 runs were not trained" in capsys.readouterr().out
    assert sweep(folder, "optimizer=sgd", "optimizer.lr=1e-2,1e30") == 1
    assert sweep(folder, "optimizer=sgd", "optimizer.lr=1e30,1e-2", "fail_fast=true", "resume=false") == 1
    assert "1 of 2 runs were not trained" in capsys.readouterr().out  # the FINISHED run belongs to an earlier start


def test_a_wrong_config_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"regularizer.dropout.p=1.5"):
        sweep(tmp_path, "regularizer=none,dropout", "regularizer.dropout.p=.5,1.5")
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_fails_prints_the_reason_and_keeps_the_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = folder / "table.csv"  # only its rows show that the task is classification
    table.write_text("x,y\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(40)))
    data = ("data=csv", f"data.path={table}", "data.target=y")
    assert sweep(folder, *data, "metric=test/rmse") == 1
    assert "no report: metric=test/rmse" in capsys.readouterr().err
    assert parent(folder).status == "FINISHED"
    assert sweep(folder, *data, "metric=test/loss") == 0
    assert len(children(folder)) == 1


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["metric=test/rmse"], "metric=test/rmse: regression ... classification"),
        (["metric=val/loss", "data.val_fraction=0"], "metric=val/loss: val_fraction=0 ... no rows"),
        (["metric=gap/loss", "data.test_fraction=0"], "metric=gap/loss: test_fraction=0 ... no rows"),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs=0: number of workers"),
        (["workers=0"], "workers=0: 1 or more ... 1024 ... null"),
        (["baseline=l2", "regularizer=none,l1"], "baseline=l2: no strategy ... l1, none"),
        (["report.dir=/proc/report"], "report.dir=/proc/report: /proc is read-only"),
        (["report.dir=/dev/null"], "report.dir=/dev/null: not a folder"),
    ],
)
def test_settings_that_no_report_can_use_are_refused_before_training(
    folder: Path, overrides: list[str], words: str
) -> None:
    with config_error(words):
        sweep(folder, *overrides)
    assert queries.runs(store(folder)) == []


def test_a_sweep_that_was_started_before_prints_what_its_report_covers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(folder, "regularizer=none,l1")
    assert "started before" not in capsys.readouterr().out
    sweep(folder, "regularizer=l2")
    out = capsys.readouterr().out
    assert "digits-mlp was started before" in out
    assert " 2 other runs " in out
    sweep(folder, "regularizer=none,l1,l2")
    assert "started before" not in capsys.readouterr().out


def test_a_baseline_may_have_been_run_at_an_earlier_start(folder: Path) -> None:
    assert sweep(folder, "regularizer=l2,l1") == 0
    assert sweep(folder, "regularizer=dropout", "baseline=l2") == 0
    with (folder / "report" / "leaderboard.csv").open() as file:
        (base,) = [row for row in csv.DictReader(file) if row["diff"] == ""]
    assert base["strategy"] == "l2"


@pytest.mark.parametrize(("signum", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
def test_a_signal_ends_the_sweep_with_every_status_right(
    folder: Path, capsys: pytest.CaptureFixture[str], signum: int, code: int, name: str
) -> None:
    def stop_during_second_run() -> None:
        while len(queries.runs(store(folder), status="RUNNING", tags={"phase": "sweep", "seed": "1"})) < 1:
            time.sleep(0.05)
        os.kill(os.getpid(), signum)

    opened = store(folder)  # opened in this thread, used in the other
    assert opened
    thread = threading.Thread(target=stop_during_second_run, daemon=True)
    thread.start()
    assert sweep(folder, "seed=0,1,2", "trainer.max_epochs=30") == code
    thread.join()
    assert f"stopped by {name}: 1 of 3 runs are finished" in capsys.readouterr().out
    assert [record.status for record in children(folder)] == ["FINISHED", "KILLED"]
    assert parent(folder).status == "KILLED"


def test_a_baseline_is_a_strategy_or_an_entry_of_the_leaderboard() -> None:
    strategies = {"l2", "dropout(p=0.3)"}
    for baseline in ("none", "l2", "dropout", "dropout(p=0.3)"):
        check_baseline(baseline, strategies)
    with pytest.raises(ConfigError, match="did you mean dropout") as refused:
        check_baseline("dropuot", strategies)
    assert refused.value.key == "baseline"
