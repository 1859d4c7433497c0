"""Checks before training that need data and models."""

import sys
from pathlib import Path

import pytest

from reglab.config.identity import config_hash
from reglab.execution.expand import Job
from reglab.execution.preflight import check_jobs
from reglab.report.records import split_into_tasks
from reglab.schema.errors import ConfigError
from reglab.study.arm_checks import check_arms
from reglab.tracking import queries
from reglab.training import run_record
from tests.conftest import Compose
from tests.execution.sweeps import children, store, sweep
from tests.report.runs_by_hand import Rec
from tests.study.studies import arms_of, run_tiny_study

pytestmark = pytest.mark.usefixtures("store_uri")  # copies a database, since creating one takes seconds


def table(folder: Path, rows: int, kind: str = "classes") -> str:
    """Write a table with two equal classes or numbers as targets, and return the override for a task on it."""
    file = folder / "table.csv"
    targets = [f"{'ab'[row % 2]}" if kind == "classes" else f"{row / 7}" for row in range(rows)]
    file.write_text("x,y\n" + "".join(f"{row * row % 11},{target}\n" for row, target in enumerate(targets)))
    return f"study.tasks=[{{data:csv,data.path:{file},data.target:y,data.batch_size:4,data.label_noise:0}}]"


SMALL = "study.common.data.train_size=null"


@pytest.mark.slow
def test_more_seeds_than_splits_are_refused(tmp_path: Path) -> None:
    # Eight rows of two classes, a test part and a validation part of two, one of each class: 4 · 4 · 3 · 3 splits.
    task = table(tmp_path, 8)
    check_arms(*arms_of(task, SMALL, "study.seeds=3"))
    with pytest.raises(ConfigError) as refused:
        check_arms(*arms_of(task, SMALL, "study.seeds=144"))
    assert (refused.value.key, refused.value.value) == ("study.seeds", 144)
    assert "8 rows of table are too few for 145 seeds" in refused.value.problem
    one_split = "+study.common.data.split_seed=0"
    check_arms(*arms_of(task, SMALL, one_split, "study.seeds=144"))  # the same split for all seeds, set explicitly


@pytest.mark.slow
def test_a_split_that_is_the_same_for_every_seed_has_to_be_meant(tmp_path: Path) -> None:
    file = tmp_path / "years.csv"
    file.write_text("x,year,y\n" + "".join(f"{row * row % 11},{row},{'ab'[row % 2]}\n" for row in range(40)))
    task = (
        f"study.tasks=[{{data:csv,data.path:{file},data.target:y,data.batch_size:4,data.label_noise:0,"
        "data.split_column:year,data.split_by:time}]"
    )
    with pytest.raises(ConfigError) as refused:
        check_arms(*arms_of(task, SMALL))
    assert (refused.value.key, refused.value.value) == ("study.seeds", 3)
    assert "the same split for every seed" in refused.value.problem
    assert "study.common.data.split_seed=0" in refused.value.remedy
    check_arms(*arms_of(task, SMALL, "+study.common.data.split_seed=0"))


def test_rows_without_end_are_never_too_few() -> None:
    task = "study.tasks=[{data:seed_noise,data.label_noise:0,data.val_fraction:0.2}]"
    check_arms(*arms_of(task, SMALL, "study.seeds=300", "study.metric=test/rmse"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "kind", "message"),
    [
        (
            ["study.strategies=[none,label_smoothing]", "study.metric=test/rmse"],
            "numbers",
            "regularizer=label_smoothing: is for classification and language modeling",
        ),
        (["study.metric=test/accuracy"], "numbers", "study.metric=test/accuracy: is for classification and multi-"),
        (["study.metric=test/rmse"], "classes", "study.metric=test/rmse: is for regression, and table is"),
        (["study.common.data.train_size=900"], "classes", "study.common.data.train_size=900: only 24 rows"),
        (
            ["+study.common.model.norm=batch", "study.common.data.train_size=21"],
            "classes",
            "data.batch_size=4: the last batch of the 21 training rows has one row",
        ),
    ],
)
def test_a_study_that_does_not_fit_its_data_is_refused_before_training(
    tmp_path: Path, overrides: list[str], kind: str, message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        run_tiny_study(tmp_path, table(tmp_path, 40, kind), SMALL, *overrides)
    assert str(refused.value).startswith(message)
    assert queries.runs(store(tmp_path)) == []  # no parent run either


def rows(folder: Path, count: int) -> list[str]:
    """Write a table of `count` rows with two equal classes and return the overrides for its data."""
    table(folder, count)
    return ["data=csv", f"data.path={folder}/table.csv", "data.target=y"]


LAST = "data.batch_size=4: the last batch of the 21 training rows has one row"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["data.train_size=900"], ["data.train_size=900: only 24 rows"]),
        (["data.train_size=null,900"], ["data.train_size=900: only 24"]),  # one wrong value is refused
        (["data.train_size=900,21,800", "data.batch_size=4", "model.norm=batch"],
         ["data.train_size=900: only 24", LAST, "data.train_size=800: only 24"]),
        (["trainer.limit_val_batches=1.0,0.01", "+trainer.min_steps=1,9", "+trainer.accumulate_grad_batches=1,2"],
         ["trainer.min_steps=9: training ends after 1 step", "trainer.limit_val_batches=0.01: leaves none of 1 "]),
    ],
)  # fmt: skip
def test_problems_of_a_sweep_with_its_data_are_reported_once_before_tracking(
    tmp_path: Path, arguments: list[str], lines: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        sweep(tmp_path, *rows(tmp_path, 40), "regularizer=none,l1", "seed=0,1", *arguments)
    assert [line[: len(start)] for line, start in zip(str(refused.value).splitlines(), lines, strict=True)] == lines
    assert queries.runs(store(tmp_path)) == []


NET = """
from pathlib import Path
from torch import nn


class {name}(nn.Module):
    def __init__(self, input_shape, outputs):
        super().__init__()
        with Path(__file__).with_suffix(".built").open("a") as built:
            built.write("*")
        self.body = nn.Sequential(nn.Linear(*input_shape, 8), nn.ReLU(), nn.Linear(8, outputs))

    def forward(self, x):
        if self.training and len(x) == {refused}:
            raise RuntimeError("no such rows")
        return self.body(x)
"""
BRIEF = ["trainer.max_epochs=1", "tracking.weights=none"]


def counted_model(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, refused: int = -1) -> list[str]:
    """Write a network that records in a file each time it is built, and return the overrides for it."""
    (folder / f"{name.lower()}.py").write_text(NET.format(name=name, refused=refused))
    monkeypatch.chdir(folder)
    return ["model=torch", f"model.target={name.lower()}.{name}"]


@pytest.mark.slow
def test_a_sweep_builds_each_model_once_and_only_for_runs_to_be_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, built = counted_model(tmp_path, monkeypatch, "Counted"), tmp_path / "counted.built"
    arguments = [*model, *rows(tmp_path, 40), "regularizer=none,l1"]
    assert sweep(tmp_path, *arguments, "seed=0,1,2", base=BRIEF) == 0
    assert len(built.read_text()) == 2 * (2 + 6)  # one for the weights, one for a comparison
    assert sweep(tmp_path, *arguments, "seed=0,1,2", base=BRIEF) == 0
    assert len(built.read_text()) == 2 * (2 + 6)
    assert sweep(tmp_path, *arguments, "seed=0,1,2,3", base=BRIEF) == 0
    assert len(built.read_text()) == 2 * (2 + 6 + 2 + 2)


@pytest.mark.slow
def test_errors_other_than_config_errors_are_left_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = counted_model(tmp_path, monkeypatch, "Choosy", refused=1)
    arguments = [*model, *rows(tmp_path, 40), "data.batch_size=4", "data.train_size=21,20"]
    assert sweep(tmp_path, *arguments, base=BRIEF) == 1
    assert [record.status for record in children(tmp_path)] == ["FAILED", "FINISHED"]


DEADLY = """
import math, os, posix, signal
from torch import nn


class Net(nn.Module):
    def __init__(self, input_shape, outputs):
        super().__init__()
        self.layer = nn.Linear(math.prod(input_shape), outputs)


class Killed(Net):
    def forward(self, x):
        os.kill(os.getpid(), signal.SIGKILL)


class Left(Net):
    def __init__(self, input_shape, outputs):
        posix._exit(0)


class Noisy(Net):
    def forward(self, x):
        return self.layer(x).softmax(-1)


class Raising(Net):
    def forward(self, x):
        if self.training:
            os._exit(0)
        return self.layer(x)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="networks are built in a fork on Linux alone")
def test_a_network_that_ends_its_process_is_reported_as_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.chdir(tmp_path)
    nets = "model.target=deadly.Killed,deadly.Left,deadly.Noisy,deadly.Raising"
    with pytest.raises(ConfigError) as refused:
        sweep(tmp_path, *rows(tmp_path, 40), "model=torch", nets, "regularizer=none,dropout", base=BRIEF)
    killed, left, other = sorted(str(refused.value).splitlines())
    assert other.startswith("regularizer=dropout: ")
    assert "nothing to act on in model=deadly.Noisy" in other
    assert killed.startswith("model=deadly.Killed: ")
    assert "SIGKILL (perhaps out of memory)" in killed
    assert left.startswith("model=deadly.Left: ")
    assert "exit code 0" in left
    assert queries.runs(store(tmp_path)) == []
    own = [SMALL, "~study.common.model", "study.strategies=[none,l2]"]
    task = table(tmp_path, 40)[:-2] + ",model:torch,model.target:deadly.NET}]"
    with pytest.raises(ConfigError, match=r"^model=deadly\.Killed: .*SIGKILL"):
        check_arms(*arms_of(task.replace("NET", "Killed"), *own))
    capsys.readouterr()
    check_arms(*arms_of(task.replace("NET", "Noisy"), *own))
    assert "softmax" in capsys.readouterr().err  # caveats are passed back from the fork


def test_caveats_on_data_are_printed_once_and_files_of_one_name_are_distinguished(
    tmp_path: Path, compose_cfg: Compose, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        rows = "".join(f"{row + 1},{row * row % 11},{'xy'[row % 2]}{place}\n" for row in range(40))
        (tmp_path / place / "train.csv").write_text(f"id,x,y\n{rows}")
        for seed in (0, 1):
            path = tmp_path / place / "train.csv"
            cfg = compose_cfg("data=csv", f"data.path={path}", "data.target=y", f"seed={seed}", "data.split_seed=0")
            jobs.append(Job((), cfg, config_hash(cfg), ""))
    check_jobs(jobs)
    notes = capsys.readouterr().err.splitlines()
    assert sum("column 'id': whole numbers that rise" in note for note in notes) == 2
    assert sum("2 data sets of this sweep are called train" in note for note in notes) == 1
    tasks = split_into_tasks([Rec(str(n), tags=run_record.tags(job.config)) for n, job in enumerate(jobs)])
    assert [(task.data, len(task.records)) for task in tasks] == [("train", 2), ("train", 2)]
    assert len({task.name for task in tasks}) == 2
