import json
import subprocess
import sys

import pytest

from reglab.paths import PROJECT
from reglab.tracking import artifacts
from reglab.tracking.environment import environment, git_commit, git_dirty
from reglab.tracking.store import open_store
from reglab.training.run import run
from tests.conftest import Compose


def test_environment_is_json_with_versions_and_threads() -> None:
    import torch

    recorded = json.loads(json.dumps(environment()))
    assert recorded["python"] == ".".join(map(str, sys.version_info[:3]))
    assert recorded["packages"]["torch"] == torch.__version__
    assert recorded["threads"] == torch.get_num_threads()
    assert recorded["cpu"]


@pytest.mark.slow
def test_the_number_of_threads_of_training_is_recorded(compose_cfg: Compose) -> None:
    import torch

    for threads, before in ((1, 2), (2, 1)):
        torch.set_num_threads(before)
        cfg = compose_cfg("trainer=fast", f"trainer.threads={threads}")
        result = run(cfg)
        text = artifacts.of_run(open_store(cfg.tracking.uri, "reglab"), result.run_id).read_text("environment.json")
        assert json.loads(text or "")["threads"] == threads
    torch.set_num_threads(1)


def test_commit_is_the_head_of_git() -> None:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if commit.returncode:
        assert (git_commit(), git_dirty()) == (None, None)
    else:
        assert git_commit() == commit.stdout.strip()
        assert git_dirty() in (True, False)


def test_without_git_and_without_torch() -> None:
    code = (
        "import sys; from reglab.tracking.environment import environment; e = environment();"
        "assert (e['git_commit'], e['git_dirty'], e['threads'], e['gpu']) == (None,) * 4, e;"
        "assert not {'torch', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env={"PATH": ""}, check=True)
