"""Each private part of joblib and its launcher exists and works as documented in `reglab.compat.joblib`."""

import inspect
from multiprocessing import resource_tracker

from hydra.utils import instantiate
from hydra_plugins.hydra_joblib_launcher import _core
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
