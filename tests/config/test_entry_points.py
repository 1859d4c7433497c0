"""Wrong command lines through the real entry points: exit code 2, a one-line error with the key, nothing tracked."""

import contextlib
import io
import json
import os
import runpy
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reglab.paths import PROJECT
from tests.processes import Process

RUN = "run_id=0a1b2c3d4e5f60718293a4b5c6d7e8f9"
# Command lines by pipeline; the last override is wrong, and the message names its key.
WRONG: dict[str, list[str]] = {
    "train": [
        *("+foo=1", "++seed=maybe", "seed=1e20", "tracking.parent=deadbeef"),
        *("data=[digits,wine]", "data=/etc/passwd", "data.val_fraction=1e400"),
        *("data=csv data.target=y data.path=/nope.csv", "data=csv data.target=y data.path=/", "data.name='a\tb'"),
        *("model.hidden_sizes=5", "model=torch model.target=no.such", "optimizer.lr=1e-300"),
        *("regularizer=[l1,l1]", "regularizer=l1 regularizer.l1.strength='0.1'", "trainer.threads=1000000"),
        *("report.dir=1", "workers=2", "tracking.weights=maybe"),
        *("data=python_docs model=llama data.vocab_size=999999999", "tracking.uri='/a\x1b[31m'", "metric=${oc.env:X}"),
        *("tracking.experiment=http://me:pw@host", "study.seeds=3", "data=wine data.name=x", "+trainer.min_steps=2"),
        *("-m +foo=1", "-m report.dir=/dev/null", "-m workers=1000000000"),
        *("-m tracking.phase=tune", "-m sweep.name=''", "-m metric=test/nope", f"-m sweep.name={'a' * 100_000}"),
    ],
    "study": [
        *("study.space=5", "study.space.seed={low:0,high:9}", "study.common.tracking.uri=x", "study.common=text"),
        *("study.tasks=[{data:digits,seed:3}]", "study.tasks=[{data:digits,tracking.uri:x}]", "study.tasks=5"),
        *("study.trials=1000000000", "study.trials=true", "study.seeds=1e9", "seeds=0", "study.search_seed=nan"),
        *("report.dir=/dev/null", "report.dir=1", "report=5", "dry_run=maybe", "+foo=1", "workers=1000000000"),
        *("tracking.weights=5", "tracking.parent=deadbeef", "study.pruning=[]", "study.strategies=[[l1,l1],none]"),
    ],
    "report": [
        *("+foo=1", "force=maybe", "force=true", "metric=0", "metric=[a]", "sweep=1", "filter=1", "report.dir=1"),
        *("direction=up", "baseline=null", "tracking.weights=best", "report.dir=/dev/null", "report={a:1}", "seed=1"),
        *("tracking.experiment=''", "tracking.uri=5", "~metric", "select_by=test/accuracy"),
    ],
    "status": ["name=5", "+foo=1", "name='\x1b'", "tracking.uri=[a]", "tracking.phase=x", "~name"],
    "rerun": ["run_id=123", "run_id=[a]", f"{RUN} model.target=5", f"{RUN} tracking.uri=true", f"{RUN} seed=1"],
    "evaluate": [
        *(f"{RUN} mc_dropout={value}" for value in ("1", "1000000000", "1e9", "true", "null", "many")),
        *(f"{RUN} seed=1e20", f"{RUN} tracking.weights=best", f"{RUN} +passes=5", "run_id=1e5"),
    ],
    "export": [
        *("register='a/b'", "register=5", f"register={'a' * 300}", "metric=nope", "metric=0", "data.name=5"),
        *(
            f"{RUN} metric=test/loss",
            f"{RUN} data.name=digits",
            f"{RUN} tracking.experiment=a",
            "tracking.weights=none",
            "model.target=[a]",
        ),
    ],
    "generate": [
        *("temperature=1e-300", "temperature=-1", "temperature=hot", "generation.seed=1e20", "generation.seed=-1"),
        *("max_new_tokens=1000000000", "max_new_tokens=0", "top_k=0", "top_k=5", "temperature=1 top_p=1.5"),
        *("passes=1", "threads=1000000", "cache=1", "train_mode=yes", "tracking.weights=none", "generation=5"),
        *("passes=9", "generation.seed=1", f"{RUN} tracking.experiment=a", "prompt=a prompt=b"),
    ],
    "ui": ["ui.port=0", "ui.port=70000", "ui.port='5000'", "ui.open=maybe", "ui=5", "tracking.experiment=5"],
}


def run_pipeline(app: str, lines: str) -> None:
    """Run a pipeline's file with each command line and print exit codes, outputs and seconds as JSON."""
    messages = []
    for line in json.loads(lines):
        sys.argv = [f"pipelines/{app}.py", *line]
        out, err, code, start = io.StringIO(), io.StringIO(), 0, time.perf_counter()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                runpy.run_path(str(PROJECT / "pipelines" / f"{app}.py"), run_name="__main__")
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
        messages.append((code, out.getvalue(), err.getvalue(), time.perf_counter() - start))
    sys.stdout.write(f"{json.dumps(messages)}\n")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert os.listdir(tmp_path) == []  # nothing was tracked or written


def run_command_lines(app: str, lines: list[list[str]], folder: Path) -> list[Any]:
    process = Process(run_pipeline, app, json.dumps(lines), cwd=folder)
    results: list[Any] = json.loads(process.communicate().splitlines()[-1])
    return results


@pytest.mark.slow
@pytest.mark.parametrize("app", WRONG)
def test_a_wrong_command_line_ends_with_its_key_and_leaves_nothing(app: str, folder: Path) -> None:
    lines = [line.split(" ") for line in WRONG[app]]
    for line in lines:
        if not any(word.startswith("tracking.uri=") for word in line):
            line.append(f"tracking.uri=sqlite:///{folder}/mlflow.db")
    wrong = {}
    for typed, (code, out, err, seconds) in zip(WRONG[app], run_command_lines(app, lines, folder), strict=True):
        key = typed.split(" ")[-1].lstrip("+~").split("=")[0]
        named = err.lstrip("+~").startswith(key)
        if (code, out, err.count("\n"), named) != (2, "", 1, True) or "Traceback" in err or seconds > 20:
            wrong[typed[:80]] = (code, out[:100], err[:300], seconds)
    assert wrong == {}


def test_generate_checks_the_prompt_before_the_run(folder: Path) -> None:
    store = f"tracking.uri=sqlite:///{folder}/mlflow.db"
    without, empty = run_command_lines("generate", [[store], ["prompt=", store]], folder)
    code, out, err, _ = without
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("prompt: ")
    assert "prompt=TEXT" in err
    assert empty[0] == 2
    assert "prompt" not in empty[2]  # an empty prompt is valid; the error is about the missing run
