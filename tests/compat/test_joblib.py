"""Each private part of joblib and its launcher exists and works as documented in `reglab.compat.joblib`."""

import inspect
import json
import os
import subprocess
import sys
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
from hydra.utils import instantiate
from hydra_plugins.hydra_joblib_launcher import _core
from joblib import cpu_count
from joblib.externals.loky.backend import resource_tracker as loky_resource_tracker

from reglab.compat.joblib import launcher_config, set_parallel_arguments, start_resource_trackers


def test_the_config_makes_a_launcher_whose_arguments_can_be_set() -> None:
    config = launcher_config(3)
    assert config.n_jobs == 3
    launcher = instantiate(config)
    assert type(launcher).__name__ == "JoblibLauncher"  # Hydra loads plugins again when it looks for them
    set_parallel_arguments(launcher, n_jobs=2, initializer=print)
    assert (launcher.joblib["n_jobs"], launcher.joblib["initializer"]) == (2, print)


def test_the_launcher_passes_its_arguments_to_parallel() -> None:
    source = inspect.getsource(_core.launch)
    assert "joblib_cfg = launcher.joblib" in source
    assert "Parallel(**joblib_cfg)" in source


def test_both_resource_trackers_run() -> None:
    start_resource_trackers()
    assert resource_tracker._resource_tracker._fd is not None
    assert loky_resource_tracker._resource_tracker._fd is not None


USE_WORKERS = """
import json, multiprocessing, os
from joblib import Parallel, delayed
from reglab.compat.joblib import fork_workers_from_server

def describe(_):
    import sys
    return os.getpid(), os.getppid(), os.environ.get("ADDED"), "csv" in sys.modules, os.environ["OPENBLAS_NUM_THREADS"]

if __name__ == "__main__":
    os.environ["ADDED"] = "before"
    environment = fork_workers_from_server("csv", 2)
    os.environ["ADDED"] = "after"
    rows = Parallel(n_jobs=2, batch_size=1)(delayed(describe)(i) for i in range(4))
    print(json.dumps([rows, os.getpid(), environment["ADDED"], "OPENBLAS_NUM_THREADS" in os.environ]))
"""


@pytest.mark.slow
def test_workers_are_forked_from_one_server_with_its_modules_and_environment(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(USE_WORKERS)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    line = [sys.executable, str(tmp_path / "use.py")]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    rows, process, added, kept = json.loads(done.stdout)
    assert (added, kept) == ("before", False)
    (server,) = {parent for _, parent, *_ in rows}
    assert server != process
    threads = str(max(1, cpu_count() // 2))
    assert {tuple(row[2:]) for row in rows} == {("before", True, threads)}
