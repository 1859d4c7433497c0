"""A sweep that is started again reuses runs of the same code, and reports the others."""

from pathlib import Path

import pytest

from reglab.report.run_filter import filter_runs
from reglab.tracking import parent
from tests.execution.sweeps import children, store, sweep
from tests.project_copy import copied, shell

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
    for one, other in zip(relu, tanh, strict=True):
        same = ("recipe_hash", "init_hash", "order_hash", "strategy_code", "identity_rule")
        assert {tag: one.tags[tag] for tag in same} == {tag: other.tags[tag] for tag in same}
        assert one.metrics["test/loss"] != other.metrics["test/loss"]
        assert one.tags["setting"] != other.tags["setting"]
    found = parent.find_parent(store(tmp_path), "wine-own_net.Net")
    assert found is not None
    covered = parent.jobs_to_report(parent.declared(store(tmp_path), found))
    assert {job["config_hash"] for job in covered} == {run.tags["config_hash"] for run in tanh}

    client = store(tmp_path).client
    for run in (*relu, *tanh):  # as the first rule left them
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
    assert len(filter_runs(first, "test/loss").records) == 2  # they report; by that rule ReLU and Tanh were one


@pytest.mark.slow
def test_another_formula_of_a_method_is_trained_again_and_nothing_else(tmp_path: Path) -> None:
    with copied(tmp_path / "a clone") as folder:
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
        board = (folder / "reports/wine-mlp/leaderboard.csv").read_text().splitlines()[1:]
        assert sorted((row.split(",")[0], row.split(",")[1]) for row in board) == [("l2", "1"), ("none", "1")]
