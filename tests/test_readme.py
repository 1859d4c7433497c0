"""Every command of the README, run in a copy of the project."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reglab.paths import PROJECT
from tests.project_copy import copy_project, environment, shell

README = (PROJECT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
NOT_RUN = {"make test", "make ui"}  # `make test` runs this test; `make ui` does not end by itself and has its own test
FEW = "study.strategies=[none,dropout+weight_decay] study.trials=1 study.tuning_seeds=1 seeds=2"
FEW += " study.common.trainer.max_epochs=2 workers=1"
REDUCED = {  # .ci/run runs the full commands
    "make compare": f'make compare ARGS="{FEW}"',
    'make study ARGS="study=small_data seeds=20"': f'make study ARGS="study=negative_control {FEW}"',
    'make study ARGS="study=small_data dry_run=true"': f'make study ARGS="study=small_data dry_run=true {FEW}"',
}
DECODER = 'make train ARGS="experiment=decoder regularizer=residual_dropout'
REDUCED[f'{DECODER}"'] = f'{DECODER} data.train_size=64 model.layers=1 trainer.max_epochs=1"'
REDUCED |= {
    command: command.replace("seed=0,1,2", "seed=0,1 trainer.max_epochs=2")
    for command in COMMANDS
    if "data=csv" in command
}
SHOWS = {
    "make compare": ["dropout+weight_decay", "report.html", "make ui"],
    "make train": ["dropout", "test/accuracy"],
    "make sweep": ["none", "report.html", "make ui"],
    "make study": ["none", "report.html", "make ui"],
    "make status": ["2 of 2 done"],
    "make report": ["none", "report.html"],
    "make generate": ["Call me Ishmael, he said,"],
    "make export": ["registered: digits, version 1", "mlflow models serve"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with copy_project(tmp_path_factory.mktemp("clone")) as folder:
        write_user_files(folder)
        yield folder


def write_user_files(folder: Path) -> None:
    rows = (f"{i * 0.1:.1f},{'red' if i % 3 else 'blue'},{'yes' if i % 2 else 'no'}" for i in range(60))
    (folder / "my_net.py").write_text(next(block for block in PYTHON if "class Net" in block))
    (folder / "mine.csv").write_text("size,colour,label\n" + "\n".join(rows) + "\n")


def test_the_readme_names_the_two_commands_first() -> None:
    assert COMMANDS[:2] == ["make compare", "make test"]
    assert set(COMMANDS) >= NOT_RUN
    assert {command for command in COMMANDS if command not in NOT_RUN} >= set(REDUCED)


@pytest.mark.slow
def test_commands_in_the_copy_leave_this_environment_alone(project: Path) -> None:
    assert "pip" not in shell(project, "make --dry-run setup").stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in NOT_RUN])
def test_a_command(project: Path, command: str) -> None:
    done = shell(project, REDUCED.get(command, command))
    assert done.returncode == 0, done.stdout + done.stderr
    shows = SHOWS[" ".join(command.split()[:2])]
    if "dry_run" in command:
        shows = ["runs left for"]
    elif command.startswith(DECODER):
        shows = ["residual_dropout", "test/perplexity", "test/bits_per_character"]
    for shown in shows:
        assert shown in done.stdout, done.stdout + done.stderr
    assert "dry_run" in command or (project / "mlflow.db").exists()  # a dry run tracks nothing


FOREIGN = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import pytorch_lightning as pl


class Net(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def training_step(self, batch, index):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


module, loader = Net(), DataLoader(TensorDataset(torch.randn(64, 4), torch.randint(2, (64,))), batch_size=16)
"""


@pytest.mark.slow
def test_the_callback_of_the_readme_runs(project: Path) -> None:
    (block,) = [block for block in PYTHON if "pl.Trainer(" in block]
    script = FOREIGN + block.replace("pl.Trainer(", "pl.Trainer(max_epochs=2, logger=False, ") + "print('done')\n"
    (project / "user_script.py").write_text(script)
    done = shell(project, ".venv/bin/python user_script.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")


OWN_REGULARIZER = """
from reglab.regularizers.base import Regularizer, Weights
from reglab.regularizers._order import PROJECTION
from reglab.schema.strength import Search, Strength


class Rounded(Regularizer):
    digits = Strength(1.0, Search(1.0, 3.0), off=float("inf"))
    order = PROJECTION

    def after_step(self, weights: Weights, lr: float) -> Weights:
        scale = 10.0**self.digits
        return {name: (weight * scale).round() / scale for name, weight in weights.items()}
"""
OWN_MODEL = """
from torch import nn


class Tower(nn.Sequential):
    def __init__(self, input_shape: tuple[int, ...], outputs: int, width: int) -> None:
        super().__init__(nn.Flatten(), nn.LazyLinear(width), nn.ReLU(), nn.LazyLinear(outputs))
        import torch

        self(torch.zeros(1, *input_shape))
"""


@pytest.mark.slow
def test_an_own_regularizer_and_an_own_model_are_a_file_and_a_yaml_each(project: Path) -> None:
    (project / "src/reglab/regularizers/rounded.py").write_text(OWN_REGULARIZER)
    yaml = "# mine\nrounded:\n  _target_: reglab.regularizers.rounded.Rounded\n  digits: 1\n"
    (project / "conf/regularizer/rounded.yaml").write_text(yaml)
    (project / "src/reglab/models/tower.py").write_text(OWN_MODEL)
    yaml = "# mine\n_target_: reglab.models.tower.Tower\nname: tower\nwidth: 8\n"
    (project / "conf/model/tower.yaml").write_text(yaml)
    done = shell(project, "make train ARGS='regularizer=[rounded,dropout] model=tower trainer=fast'")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("dropout+rounded  test/loss")
    wrong = shell(project, "make train ARGS='regularizer=rounded regularizer.rounded.digits=-1'")
    assert wrong.stderr.startswith("regularizer.rounded.digits=-1: ")
    assert "at least 0" in wrong.stderr
    assert "rounded" in shell(project, ".venv/bin/python pipelines/train.py --help").stdout


@pytest.mark.slow
def test_make_ui_starts_and_stops(project: Path) -> None:
    process = subprocess.Popen(
        ["make", "ui"],
        cwd=project,
        env=environment(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if "http://127.0.0.1:" in line:
            break
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    output += process.stdout.read()
    # make passes the signal on to itself; the app's own exit code is 0 (tests/tracking/test_ui.py)
    assert process.wait(30) in (0, -signal.SIGINT, 130), output
    assert "viewStateShareKey" in output


@pytest.mark.slow
def test_help_lists_groups_and_targets(project: Path) -> None:
    done = shell(project, ".venv/bin/python pipelines/train.py --help")
    assert done.returncode == 0
    assert "regularizer" in done.stdout
    targets = shell(project, "make help").stdout
    assert all(
        target in targets for target in ("compare", "train", "sweep", "report", "rerun", "ui", "test", "lint", "bench")
    )
