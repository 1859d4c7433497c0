"""Private parts of joblib and of Hydra's joblib launcher, and Python's fork server, which joblib's workers use."""

import multiprocessing
import os
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


def fork_workers_from_server(module: str, workers: int) -> dict[str, str]:
    """Let joblib fork its workers from a server process that has imported a module, and start that server.

    joblib would start a new interpreter for each worker, and again for each worker that replaces a dead one; importing
    torch, Lightning and MLflow takes longer than many runs do. The server has imported them when it forks the first
    worker. joblib has no public way to choose how workers start.

    Args:
        module: module that a worker needs.
        workers: number of workers, among which joblib divides the threads of libraries such as OpenBLAS.

    Returns:
        The environment of the workers. The server has that of its start, which may be another one by now.
    """
    from multiprocessing import forkserver

    from joblib._parallel_backends import LokyBackend
    from joblib.externals.loky.backend.context import set_start_method

    set_start_method("forkserver", force=True)
    multiprocessing.set_forkserver_preload([module])
    original_environment = dict(os.environ)
    os.environ.update(LokyBackend()._prepare_worker_env(workers))
    try:
        forkserver.ensure_running()
        return dict(os.environ)
    finally:
        os.environ.clear()
        os.environ.update(original_environment)
