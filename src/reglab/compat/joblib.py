"""Private parts of joblib and of Hydra's joblib launcher."""

from typing import Any

from hydra.plugins.launcher import Launcher
from hydra_plugins.hydra_joblib_launcher.config import JobLibLauncherConf
from omegaconf import DictConfig, OmegaConf


def launcher_config(workers: int) -> DictConfig:
    """Return the config of the joblib launcher, as ``hydra/launcher=joblib`` selects it.

    The launcher is chosen after Hydra has composed the config.
    """
    return OmegaConf.structured(JobLibLauncherConf(n_jobs=workers))


def set_parallel_arguments(launcher: Launcher, **arguments: Any) -> None:
    """Set arguments of ``joblib.Parallel``, also those that the launcher's config does not have."""
    launcher.joblib.update(arguments)  # type: ignore[attr-defined]


def start_resource_trackers() -> None:
    """Start the trackers of Python and joblib now, which otherwise start with the first worker.

    Starting one unblocks SIGINT in this process.
    """
    # Imported here because joblib loads NumPy, and configs are checked without it.
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as loky_resource_tracker

    for tracker in (resource_tracker, loky_resource_tracker):
        tracker.ensure_running()
