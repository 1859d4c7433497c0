"""One-line errors, exit codes, and the command line of a real process."""

import gc
import os
import re
import subprocess
import sys
import time

import pytest
from omegaconf import OmegaConf

from reglab.cli import HydraBypass, bypass_hydra, load_libraries, report_error
from reglab.config.command_line import help_text
from reglab.config.compose import Composer
from reglab.paths import CONF, PROJECT
from reglab.schema.errors import ConfigError, Diverged
from reglab.stopping import Stopped


def report_and_capture(error, capsys):
    code = report_error(error, [], "train")
    return code, capsys.readouterr().err


def with_run(error):
    error.run_id = "abc"
    return error


def test_exit_codes_and_lines(capsys):
    assert report_and_capture(ConfigError("seed=-1: must be"), capsys) == (2, "seed=-1: must be\n")
    assert report_and_capture(with_run(ConfigError("no target")), capsys) == (2, "no target (run abc)\n")
    assert report_and_capture(Stopped(2), capsys) == (130, "stopped by Ctrl-C\n")
    assert report_and_capture(with_run(Stopped(15)), capsys) == (143, "stopped by SIGTERM (run abc)\n")
    assert report_and_capture(KeyboardInterrupt(), capsys) == (130, "stopped by Ctrl-C\n")
    assert report_and_capture(BrokenPipeError(32, "Broken pipe"), capsys)[0] == 1  # of a worker; see also streams
    code, line = report_and_capture(with_run(Diverged(7)), capsys)
    assert code == 1
    assert "at step 7" in line
    assert re.search(r"\(run abc is FAILED; .*error\.txt.*\)\n$", line)
    assert report_and_capture(RuntimeError("a\nb"), capsys) == (1, "RuntimeError: a (HYDRA_FULL_ERROR=1 shows where)\n")


def test_a_stack_trace_is_shown_on_request(capsys, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    code, lines = report_and_capture(ConfigError("seed=-1: must be"), capsys)
    assert code == 2
    assert lines.endswith("ConfigError: seed=-1: must be\nseed=-1: must be\n")


def test_errors_bypass_hydra_and_signals_pass_unchanged():
    with pytest.raises(HydraBypass) as caught, bypass_hydra():
        raise ConfigError("x")
    assert isinstance(caught.value.error, ConfigError)
    with pytest.raises(Stopped), bypass_hydra():
        raise Stopped(2)


@pytest.mark.slow
@pytest.mark.parametrize("config_name", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_every_app_has_its_own_help(config_name):
    text = help_text(config_name)
    assert text
    assert f"python pipelines/{config_name}.py" in text
    assert "$" not in text.replace("${seed}", "")
    keys = re.search(r"^(?:Most used k|K)eys\n(.*?)(?:^Examples$|\Z)", text, re.M | re.S)
    assert keys
    listed = re.findall(r"^  (?:  )?((?:[a-z_]+\.)?[a-z_]+)  +\S", keys[1], re.M)
    cfg = Composer(config_name).compose()
    assert len(listed) >= 2
    assert [key for key in listed if OmegaConf.select(cfg, key, default="?") == "?"] == []


def test_imports_are_announced_once(capsys, monkeypatch, tmp_path):
    (tmp_path / "slow_library.py").write_text("import gc\nwas_paused = not gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    frozen = gc.get_freeze_count()
    load_libraries("a slow library", ["slow_library"])
    assert capsys.readouterr().err == "loading a slow library ...\n"
    assert sys.modules["slow_library"].was_paused
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen
    load_libraries("a slow library", ["slow_library"])
    assert capsys.readouterr().err == ""


def run_train(*arguments, cwd, **environment):
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(PROJECT / "pipelines" / "train.py"), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=60,
    )
    print(f"{' '.join(arguments)}: {time.perf_counter() - start:.2f} s")
    return done


@pytest.mark.slow
def test_help_lists_the_choices_and_imports_nothing_heavy(tmp_path):
    done = run_train("--help", cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert "regularizer: " in done.stdout
    assert "study: " not in done.stdout  # chosen by another pipeline
    assert ", elastic_net, " in done.stdout
    assert "python pipelines/train.py -m regularizer=none,l1" in done.stdout
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert not imported & {"torch", "pytorch_lightning", "mlflow", "pandas", "numpy", "scipy", "sklearn", "matplotlib"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["regularizer=dropout", "regularizer.dropout.p=2", "tracking.uri=sqlite:///x.db"],
            "regularizer.dropout.p=2: ",
        ),
        (
            ["-m", "regularizer=none,dropout", "regularizer.dropout.p=0.1,2", "tracking.uri=sqlite:///x.db"],
            "regularizer.dropout.p=2: ",
        ),
        (["-m", "regularizer=none,l1", "regularizer.dropout.p=.3"], "regularizer.dropout.p="),
        (["--foo"], "unrecognized arguments: --foo; see --help"),
        (["--config-dir", "/nope", "seed=0"], "--config-dir=/nope: no such folder"),
        (["--config-path", "/nope", "seed=0"], "--config-path=/nope: no such folder"),
        (["--config-name=trian"], "--config-name=trian: no such option; did you mean train?"),
        (["--config-name=trian", "--config-dir=."], "--config-name=trian: no such option; did you mean train?"),
    ],
    ids=["run", "sweep", "strength of none", "flag", "config-dir", "config-path", "config-name", "both"],
)
def test_a_wrong_config_leaves_one_line_and_nothing_else(tmp_path, arguments, line):
    done = run_train(*arguments, cwd=tmp_path)
    assert done.stderr.startswith(line)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_hydras_own_flags_are_untouched(tmp_path):
    done = run_train("--cfg", "job", "regularizer=l2", "regularizer.l2.strength=0.5", cwd=tmp_path)
    assert done.returncode == 0
    assert "    strength: 0.5\n" in done.stdout


@pytest.mark.parametrize(
    ("pipeline", "arguments"),
    [
        ("train", ["seed=x"]),
        ("train", ["-m", "regularizer=dropuot,l2"]),
        ("study", ["study=quick", "study.trials=0"]),
        ("study", ["study=quick", "study.sampler=bayes"]),
        ("report", ["direction=up"]),
        ("generate", ["top_k=0"]),
    ],
)
@pytest.mark.slow
def test_a_wrong_config_is_refused_without_importing_torch(pipeline: str, arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", str(PROJECT / "pipelines" / f"{pipeline}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr[-500:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "omegaconf" in imported
    assert not imported & {"torch", "pytorch_lightning", "mlflow"}
