"""Reports of runs in a store, by functions and by the command."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from reglab.config.compose import compose
from reglab.paths import PROJECT
from reglab.schema.errors import ConfigError
from reglab.study.publish import compare, publish
from reglab.tracking import artifacts, parent, queries
from reglab.tracking.queries import history_reader
from reglab.tracking.store import Store, open_store
from tests.report.runs_by_hand import log, tags

NONE = [0.70, 0.72, 0.74, 0.71, 0.73, 0.75]
UP = [0.75, 0.78, 0.78, 0.77, 0.80, 0.79]


@pytest.fixture
def store(store_uri: str) -> Store:
    return open_store(store_uri, "lab")


def fill(store: Store, values: dict[str, list[float]], **extra_tags: str) -> list[dict[str, str]]:
    """Log one run per value, and return the jobs that a sweep would declare."""
    declared = []
    for strategy, accuracies in values.items():
        for seed, accuracy in enumerate(accuracies):
            identity = f"{strategy}-{seed}"
            curve = [accuracy - 0.2, accuracy - 0.1, accuracy]
            log(
                store,
                tags(strategy, seed, config_hash=identity, setting="s", **extra_tags),
                {"test/accuracy": accuracy, "test/ece": 0.1, "gap/loss": 0.2, "time/train_s": 1.5 + seed},
                histories={"val/accuracy": curve, "train/accuracy": curve, "val/loss": curve, "train/loss": curve},
            )
            declared.append({"config_hash": identity, "setting": "s", "label": f"{strategy} seed={seed}"})
    return declared


def config(store: Store, folder: Path, *overrides: str) -> DictConfig:
    return compose(
        [f"tracking.uri={store.uri}", "tracking.experiment=lab", f"report.dir={folder}", *overrides], "report"
    )


@pytest.mark.slow
def test_report_of_runs_without_a_parent(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store, {"none": NONE, "dropout": UP})
    folder = tmp_path / "out" / "mine"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("kept")
    compare(config(store, folder, "metric=test/accuracy", "direction=max"))

    with (folder / "leaderboard.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["strategy"], first["n"], first["rank"]) == ("dropout", "6", "1")
    assert float(first["mean"]) == pytest.approx(4.67 / 6)
    assert float(first["diff"]) == pytest.approx(0.32 / 6)
    assert float(first["p_holm"]) == pytest.approx(0.03125)
    assert float(first["seconds"]) == pytest.approx(4.0)
    assert (second["strategy"], second["diff"], second["p"]) == ("none", "", "")
    pictures = ["calibration", "cost", "curves-accuracy", "curves-loss", "differences", "gap", "seeds"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(f"{name}.png" for name in pictures), "leaderboard.csv", "notes.txt", "report.html"]
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]  # no temporary folder is left
    output = capsys.readouterr().out
    assert "dropout raises test/accuracy from 0.725" in output.replace("\n", " ")
    assert f"report   {folder}/report.html" in output
    assert "make ui" in output


@pytest.mark.slow
def test_the_report_of_a_sweep_covers_its_declared_jobs(store: Store, tmp_path: Path) -> None:
    first = parent.open_parent(store, "small", [])
    declared = fill(store, {"none": NONE, "l1": UP}, **{"mlflow.parentRunId": first})
    second = parent.open_parent(store, "large", [])
    jobs_of_l2 = fill(store, {"l2": UP[:5]}, **{"mlflow.parentRunId": second})
    log(store, tags("l2", 5, config_hash="l2-5", setting="s", **{"mlflow.parentRunId": second}), status="FAILED")
    jobs_of_l2.append({"config_hash": "l2-5", "setting": "s", "label": "l2 seed=5"})
    jobs_of_l2.append({"config_hash": "l2-6", "setting": "s", "label": "l2 seed=6"})
    parent.open_parent(store, "large", [*declared, *jobs_of_l2])
    log(store, tags("stray", 0, config_hash="stray", setting="s"), {"test/accuracy": 1.0})

    report = publish(store, second, folder=tmp_path / "large")
    (report.folder / "notes.txt").touch()  # not of a report: not moved and not overwritten
    for write in (lambda: publish(store, first, folder=report.folder), lambda: compare(config(store, report.folder))):
        with pytest.raises(
            ConfigError, match=rf"contains the report of sweep large \(run {second}\), and also notes.txt"
        ):
            write()
    assert {line.label: line.n for line in report.findings.entries} == {"none": 6, "l1": 6, "l2": 5}
    assert report.findings.missing == ["l2 seed=6"]
    assert [failure.outcome for failure in report.findings.failures] == ["failed"]
    files = artifacts.of_run(store, second)
    assert files.read_text("report/report.html") == report.page.read_text()
    assert (files.read_text("report/leaderboard.csv") or "").startswith("strategy,n,mean")
    note = store.client.get_run(second).data.tags["mlflow.note.content"]
    assert note.startswith(report.headline)
    assert "| 1 | l1 | 6 | 0.778 ± 0.017 |" in note


def test_one_database_query_equals_many(store: Store) -> None:
    fill(store, {"none": NONE})
    records = queries.runs(store)
    run_ids = [record.run_id for record in records]
    store.client.log_metric(
        run_ids[0], "val/loss", 9.0, timestamp=2**42, step=2
    )  # logged twice: the later value counts
    histories = history_reader(store.client)(run_ids, ["val/loss", "none/such"])
    at_once = histories["val/loss"]
    assert at_once == {run_id: queries.history(store.client, run_id, "val/loss") for run_id in run_ids}
    assert at_once[run_ids[0]][1] == (2, 9.0)
    assert histories["none/such"] == {run_id: [] for run_id in run_ids}

    class Remote:  # a client without such a query, as of a server
        get_metric_history = store.client.get_metric_history

    assert history_reader(Remote())(run_ids, ["val/loss", "none/such"]) == histories  # type: ignore[arg-type]


@pytest.mark.slow
def test_report_errors_have_one_line(store: Store, tmp_path: Path) -> None:
    def error_of(*overrides: str) -> str:
        with pytest.raises(ConfigError) as caught:
            compare(config(store, tmp_path / "never", *overrides))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no run is tracked there" in error_of()
    assert "make sweep" in error_of()
    assert error_of("tracking.experiment=labb").endswith("did you mean lab?")
    assert "nothing was tracked there yet" in error_of(f"tracking.uri=sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    log(store, tags("none", 0, phase="tune"), {"test/accuracy": 0.5})
    assert "only parents and tuning runs" in error_of()
    parent.open_parent(store, "small", [])
    log(store, tags("none", 0), {"test/accuracy": 0.5})
    assert re.fullmatch("sweep=smal: .* lab; .* small[?]", error_of("sweep=smal"))
    assert "did you mean test/accuracy?" in error_of("metric=test/acc")
    assert "filter=tags.data: " in error_of("filter=tags.data")
    assert "no run is tracked there" in error_of("filter='tags.data = \"other\"'")
    assert not (tmp_path / "never").exists()


def test_a_filter_selects_runs(store: Store, tmp_path: Path) -> None:
    fill(store, {"none": NONE})
    log(store, tags("none", 0, data="other"), {"test/accuracy": 0.5})
    report = compare(config(store, tmp_path / "out", "filter='tags.data = \"other\"'"))
    assert [(line.label, line.n) for line in report.findings.entries] == [("none", 1)]
    assert "only none was run" in report.headline


def test_the_config_of_reports_is_composed() -> None:
    cfg = compose([], "report")
    assert OmegaConf.select(cfg, "report.dir") is None
    assert (cfg.baseline, cfg.force) == ("none", False)


@pytest.mark.slow
def test_the_command_refuses_a_wrong_question_early(tmp_path: Path) -> None:
    command = [sys.executable, str(PROJECT / "pipelines" / "report.py"), f"tracking.uri=sqlite:///{tmp_path}/none.db"]
    for override, remedy in {"select_by=test/loss": "val/loss", "metrik=test/loss": "metric"}.items():
        completed = subprocess.run([*command, override], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (completed.returncode, completed.stdout) == (2, "")
        (line,) = completed.stderr.splitlines()
        assert line.startswith(f"{override}: ")
        assert remedy in line.removeprefix(override)
    assert list(tmp_path.iterdir()) == []
