"""Compatibility with a store of an earlier version: same reports, and same identity of the runs' configs.

`stores/store_0_1.tar.xz` was written by commit 8104e6c. It contains a study and a sweep (without
weights), and three single runs.
"""

import csv
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from reglab.config.check_run import check
from reglab.config.compose import Composer
from reglab.config.identity import recipe_hash, strategy
from reglab.paths import PROJECT

ARCHIVE = Path(__file__).parent / "stores" / "store_0_1.tar.xz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path_factory.mktemp("earlier"), filter="data")
        return Path(tmp_path_factory.getbasetemp()) / "earlier0" / "reglab"


@pytest.fixture(scope="module")
def runs(folder: Path) -> list:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return [run for run in client.search_runs(experiments) if "config_hash" in run.data.tags]


def overrides(folder: Path, run) -> list[str]:
    file = folder / "mlartifacts" / run.info.experiment_id / run.info.run_id / "artifacts" / "overrides.yaml"
    typed = yaml.safe_load(file.read_text(encoding="utf-8"))
    return [override for override in typed if not override.lstrip("+").startswith(("tracking.", "report.", "sweep."))]


@pytest.mark.slow
def test_every_run_keeps_the_identity_of_its_config(folder: Path, runs: list) -> None:
    composer = Composer()
    assert len(runs) == 39
    for run in runs:
        cfg = composer.compose(overrides(folder, run))
        check(cfg)
        assert recipe_hash(cfg) == run.data.tags["recipe_hash"]
        assert strategy(cfg) == run.data.tags["strategy"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["study", "sweep"])
def test_the_report_is_the_same(folder: Path, tmp_path: Path, name: str) -> None:
    typed = ["tracking.experiment=old", f"sweep=old_{name}", f"report.dir={tmp_path / 'report'}"]
    command = [sys.executable, PROJECT / "pipelines" / "report.py", f"tracking.uri=sqlite:///{folder}/mlflow.db"]
    done = subprocess.run([*command, *typed], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for file in sorted((folder / f"report_{name}").glob("*.csv")):
        before, now = (rows(path) for path in (file, tmp_path / "report" / file.name))
        assert [{key: row[key] for key in before[0]} for row in now] == before


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
