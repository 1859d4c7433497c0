"""Printed commands, which can be pasted into a shell."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from reglab.config.compose import compose
from reglab.wording import format_override, make_command, mlflow_command

VALUES = [
    *("lab", "my runs", "a  b", " a", "it's", 'say "hi"', 'it\'s "both"', "$HOME", "${seed}", "\\${seed}", "`id`"),
    *("$(id)", "x\\", "a\\'b", "null", "1e3", "true", "ü Ω", "a,b", "[red]", "{a: 1}", "a=b", "#x", "!x", "~", "a;b"),
    *("*", "(p)", "a\tb", "-x", "%41", "sqlite:////tmp/it's $x/t.db"),
]
MAKEFILE = """
ARGS ?=
ui:
\t@python3 -c 'import sys, json; print(json.dumps(sys.argv[1:]))' $(ARGS)
"""


@pytest.mark.slow
@pytest.mark.parametrize("value", VALUES)
def test_a_formatted_override_is_parsed_to_its_value(value: str) -> None:
    assert compose([format_override("tracking.experiment", value)]).tracking.experiment == value


@pytest.mark.slow
def test_commands_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    lines = [make_command("ui", {"tracking.experiment": value, "seed": 1, "metric": None}) for value in VALUES]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # set by make test
    done = subprocess.run(
        ["bash"], input="\n".join(lines), cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    for arguments, value in zip(done.stdout.splitlines(), VALUES, strict=True):
        assert json.loads(arguments) == [format_override("tracking.experiment", value), "seed=1"]


def test_plain_commands_stay_plain() -> None:
    assert make_command("compare") == "make compare"
    assert make_command("rerun", RUN_ID="abc") == "make rerun RUN_ID=abc"
    assert make_command("report", {"metric": "test/loss"}) == 'make report ARGS="metric=test/loss"'
    assert make_command("ui", {"tracking.experiment": "my runs"}) == "make ui ARGS=\"'tracking.experiment=my runs'\""
    assert mlflow_command("http://me:pw@host", "runs", "restore", "--run-id", "a b") == (
        "MLFLOW_TRACKING_URI='http://***@host' mlflow runs restore --run-id 'a b'"
    )
