"""Every command of the README does what it says, in a copy of the project."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from reglab.paths import PROJECT
from tests.project_copy import copy_project, environment, shell

README = (PROJECT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
NOT_HERE = {"make test", "make ui"}  # this is `make test`; `make ui` does not end by itself: below
REDUCED = {"make compare": 'make compare ARGS="trainer=fast seed=0,1,2"'}  # in full by .ci/run
SHOWS = {
    "make compare": ["dropout+l1", "report.html", "make ui"],
    "make train": ["dropout", "test/accuracy"],
    "make sweep": ["none", "report.html", "make ui"],
    "make report": ["none", "report.html"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("clone"))
    rows = (f"{i * 0.1:.1f},{'red' if i % 3 else 'blue'},{'yes' if i % 2 else 'no'}" for i in range(60))
    (folder / "mine.csv").write_text("size,colour,label\n" + "\n".join(rows) + "\n")
    return folder


def test_the_readme_names_the_two_commands_first() -> None:
    assert COMMANDS[:2] == ["make compare", "make test"]
    assert set(COMMANDS) >= NOT_HERE
    assert {command for command in COMMANDS if command not in NOT_HERE} >= set(REDUCED)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in NOT_HERE])
def test_a_command(project: Path, command: str) -> None:
    done = shell(project, REDUCED.get(command, command))
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in SHOWS[" ".join(command.split()[:2])]:
        assert shown in done.stdout, done.stdout + done.stderr
    assert (project / "mlflow.db").exists()


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
    said = ""
    for line in process.stdout:
        said += line
        if "http://127.0.0.1:" in line:
            break
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    said += process.stdout.read()
    # make passes the signal on to itself; the app's own exit code is 0 (tests/tracking/test_ui.py)
    assert process.wait(30) in (0, -signal.SIGINT, 130), said
    assert "viewStateShareKey" in said


def test_help_is_there(project: Path) -> None:
    done = shell(project, ".venv/bin/python pipelines/train.py --help")
    assert done.returncode == 0
    assert "regularizer" in done.stdout
    targets = shell(project, "make help").stdout
    assert all(target in targets for target in ("compare", "train", "sweep", "report", "ui", "test", "lint", "bench"))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(((?!http)[^)]+)\)", README))))
def test_a_link_leads_somewhere(path: str) -> None:
    assert (PROJECT / path).exists()
