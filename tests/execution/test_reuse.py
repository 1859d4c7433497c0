"""A restarted sweep reuses runs of the same code and reports runs of other code."""

import json
from pathlib import Path
from typing import Any

import pytest

from reglab.config.compose import compose
from reglab.config.identity import code_of_config, config_hash, recipe_hash
from reglab.execution.expand import Job, Plan
from reglab.execution.reuse import pending, print_other_code
from reglab.report.run_filter import filter_runs
from reglab.tracking import parent
from reglab.tracking.store import Store, open_store
from tests.execution.sweeps import children, store, sweep
from tests.project_copy import copy_project, shell
from tests.report.runs_by_hand import log

NET = """
from torch import nn
from own_blocks import activation

class Net(nn.Module):
    def __init__(self, input_shape, outputs):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(input_shape[0], 8), activation(), nn.Linear(8, outputs))

    def forward(self, x):
        return self.body(x)
"""
BASE = ("model=torch", "model.target=own_net.Net", "data=wine", "trainer.max_epochs=1", "tracking.weights=none")


@pytest.mark.slow
def test_runs_of_other_code_are_not_reused(
    store_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_net.py").write_text(NET)
    for activation in ("ReLU", "Tanh"):  # of the same length
        (tmp_path / "own_blocks.py").write_text(f"from torch import nn\nactivation = nn.{activation}\n")
        assert sweep(tmp_path, "regularizer=none,l2", base=BASE) == 0
    out = capsys.readouterr().out
    assert "2 of 2 runs are trained again" in out
    assert "other code or libraries (model)" in out
    assert "2 of 2 runs are already finished (" not in out
    relu, tanh = children(tmp_path)[:2], children(tmp_path)[2:]
    for relu_run, tanh_run in zip(relu, tanh, strict=True):
        same = ("recipe_hash", "init_hash", "order_hash", "strategy_code", "identity_rule")
        assert {tag: relu_run.tags[tag] for tag in same} == {tag: tanh_run.tags[tag] for tag in same}
        assert relu_run.metrics["test/loss"] != tanh_run.metrics["test/loss"]
        assert relu_run.tags["setting"] != tanh_run.tags["setting"]
    parent_id = parent.find_parent(store(tmp_path), "wine-own_net.Net")
    assert parent_id is not None
    covered = parent.jobs_to_report(parent.declared(store(tmp_path), parent_id))
    assert {job["config_hash"] for job in covered} == {run.tags["config_hash"] for run in tanh}

    client = store(tmp_path).client
    for run in (*relu, *tanh):  # as identity rule 1 tracked them
        for tag in ("identity_rule", "code", "strategy_code"):
            client.delete_tag(run.run_id, tag)
        client.set_tag(run.run_id, "config_hash", run.tags["recipe_hash"])
        client.delete_tag(run.run_id, "recipe_hash")
    assert sweep(tmp_path, "regularizer=none,l2", base=BASE) == 0
    out = capsys.readouterr().out
    assert "2 of 2 runs are trained again" in out
    assert "earlier identity" in out
    assert len(children(tmp_path)) == 6
    first = [run for run in children(tmp_path) if "identity_rule" not in run.tags]
    # Runs of rule 1 are still reported; under it ReLU and Tanh have the same identity.
    assert len(filter_runs(first, "test/loss").records) == 2


@pytest.mark.slow
def test_only_runs_of_a_changed_method_are_trained_again(tmp_path: Path) -> None:
    with copy_project(tmp_path / "a clone") as folder:
        line = [
            ".venv/bin/python", "pipelines/train.py", "-m", "data=wine", "trainer.max_epochs=1", "regularizer=none,l2",
            "model.hidden_sizes=[4]",
        ]  # fmt: skip
        assert shell(folder, line).returncode == 0
        method = folder / "src/reglab/regularizers/l2.py"
        method.write_text(method.read_text() + "\n\nother = 1\n")
        for unrelated in ("src/reglab/regularizers/mixup.py", "src/reglab/report/charts/style.py", "README.md"):
            (folder / unrelated).write_text((folder / unrelated).read_text() + "\n# another\n")
        done = shell(folder, line)
        assert done.returncode == 0
        assert "1 of 2 runs are already finished (" in done.stdout
        assert "1 of 2 runs are trained again" in done.stdout
        assert "other code or libraries (regularizer.l2)" in done.stdout
        entries = (folder / "reports/wine-mlp/leaderboard.csv").read_text().splitlines()[1:]
        assert sorted((row.split(",")[0], row.split(",")[1]) for row in entries) == [("l2", "1"), ("none", "1")]


def plan(*settings: str) -> Plan:
    """Return a plan of two jobs: `none` and `l2`."""
    jobs = []
    for name in ("none", "l2"):
        config = compose([f"regularizer={name}", *settings])
        jobs.append(Job((f"regularizer={name}",), config, config_hash(config), name))
    return Plan("by-hand", jobs, jobs[0].config)


def identity_tags(job: Job, **changes: Any) -> dict[str, str]:
    """Return the tags of a finished run of a job, with changed hashes of code parts or changed versions."""
    code = code_of_config(job.config)
    versions = {f"versions.{name}": version for name, version in code.versions.items()}
    tags = {
        "phase": "sweep",
        "config_hash": job.config_hash,
        "recipe_hash": recipe_hash(job.config),
        "code": json.dumps({**code.parts, **{key: value for key, value in changes.items() if key in code.parts}}),
        "about": json.dumps({**versions, **{key: value for key, value in changes.items() if key in versions}}),
    }
    return tags | ({"config_hash": "another"} if changes else {})


@pytest.fixture
def tracked(store_uri: str) -> Store:
    return open_store(store_uri, "reglab")


def test_jobs_without_a_run_are_pending(tracked: Store, capsys: pytest.CaptureFixture[str]) -> None:
    two_jobs = plan()
    log(tracked, identity_tags(two_jobs.jobs[0]), status="FAILED")
    log(tracked, {**identity_tags(two_jobs.jobs[0]), "rerun_of": "a1b2"})
    assert pending(two_jobs, tracked) == list(two_jobs.jobs)
    assert capsys.readouterr().out == ""


def test_a_finished_run_is_reused_and_its_commit_is_named(tracked: Store, capsys: pytest.CaptureFixture[str]) -> None:
    two_jobs = plan()
    log(tracked, {**identity_tags(two_jobs.jobs[0]), "git_commit": "0123456789", "git_dirty": "true"})
    assert pending(two_jobs, tracked) == [two_jobs.jobs[1]]
    out = capsys.readouterr().out
    assert out.startswith("1 of 2 runs are already finished (commit 0123456 with changes; the code here is ")
    without = plan("resume=false")
    assert pending(without, tracked) == list(without.jobs)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"regularizer.l2": "0000"}, "(regularizer.l2)"),
        ({"core": "0000", "model": "0000"}, "(core, model)"),
        ({"versions.torch": "1.0"}, "(torch 1.0)"),
    ],
)
def test_parts_that_differ_are_named(
    changes: dict[str, str], parts: str, tracked: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    two_jobs = plan()
    log(tracked, identity_tags(two_jobs.jobs[1], **changes))
    assert pending(two_jobs, tracked) == list(two_jobs.jobs)
    assert parts in capsys.readouterr().out


def test_the_newest_of_several_runs_is_compared(tracked: Store, capsys: pytest.CaptureFixture[str]) -> None:
    two_jobs = plan()
    log(tracked, identity_tags(two_jobs.jobs[1], model="0000"), started=1_000)
    log(tracked, identity_tags(two_jobs.jobs[1], core="0000"), started=2_000)
    print_other_code(two_jobs.jobs, 5, tracked)
    out = capsys.readouterr().out
    assert out.startswith("1 of 5 runs are trained again")
    assert "(core)" in out


def test_runs_of_the_first_identity_rule_are_counted(tracked: Store, capsys: pytest.CaptureFixture[str]) -> None:
    two_jobs = plan()
    log(tracked, {"phase": "sweep", "config_hash": recipe_hash(two_jobs.jobs[0].config)})
    print_other_code(two_jobs.jobs, 2, tracked)
    assert "1 of 2 runs are trained again: the tracked ones have an earlier identity" in capsys.readouterr().out
    print_other_code([], 2, tracked)
    assert capsys.readouterr().out == ""
