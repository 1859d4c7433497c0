"""Where the runs of a sweep are placed: in this process, or by a Hydra launcher."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from reglab.errors import ConfigError
from reglab.study import children
from reglab.study.job import Outcome, Place


class Launch:
    """Hydra's launcher of a multirun.

    Args:
        context: as Hydra hands it to a sweeper.
        config: the multirun's, with its `hydra` section.

    Raises:
        ConfigError: no workers.
    """

    def __init__(self, context: HydraContext, config: DictConfig) -> None:
        self.loader = context.config_loader
        self.config_name = str(config.hydra.job.config_name)
        self._context = context
        self._config = config
        if self._named("JoblibLauncher") and config.hydra.launcher.n_jobs == 0:
            raise ConfigError(
                "hydra.launcher.n_jobs=0: must be a number of workers, or -1 (as many as there are cores)"
            )

    def in_process(self, jobs: int) -> bool:
        """Whether this process trains itself: the basic launcher, or too little for workers."""
        if self._named("BasicLauncher"):
            return True
        return self._named("JoblibLauncher") and self._joblib_workers(jobs) == 1

    def __call__(self, place: Place, overrides: Sequence[Sequence[str]]) -> list[Outcome | Exception]:
        """Runs `place` on each job's config, composed where it runs.

        Returns:
            in the order of the jobs; an exception where not even an outcome came back.
        """
        launcher = Plugins.instance().instantiate_launcher(self._context, place, self._config)
        deaf: AbstractContextManager[None] = nullcontext()
        if self._named("JoblibLauncher"):
            self._prepare(launcher, len(overrides))
            deaf = children.born_deaf()
        with deaf:
            returns = launcher.launch([list(job) for job in overrides], initial_job_idx=0)
        return [_result(job) for job in returns]

    def _prepare(self, launcher: Launcher, jobs: int) -> None:
        """No more workers than there are jobs, or physical cores for their threads; none outlives this process."""
        from multiprocessing import resource_tracker as pythons

        from joblib.externals.loky.backend import resource_tracker as lokys

        for tracker in (pythons, lokys):
            tracker.ensure_running()  # now: starting one unblocks SIGINT, which `born_deaf` is about to block
        settings: dict[str, Any] = launcher.joblib  # type: ignore[attr-defined]  # what it hands to joblib.Parallel
        settings["n_jobs"] = self._joblib_workers(jobs)
        settings["initializer"] = children.follow
        settings["initargs"] = (os.getpid(),)

    def _joblib_workers(self, jobs: int) -> int:
        from joblib import cpu_count, effective_n_jobs

        wanted = self._config.hydra.launcher.n_jobs
        threads = OmegaConf.select(self._config, "trainer.threads") or 1
        workers = cpu_count(only_physical_cores=True) // threads if wanted == -1 else effective_n_jobs(wanted)
        return max(1, min(workers, jobs))

    def _named(self, name: str) -> bool:
        return str(self._config.hydra.launcher._target_).endswith(f".{name}")


def _result(job: JobReturn) -> Outcome | Exception:
    if job.status == JobStatus.COMPLETED:
        assert isinstance(job.return_value, Outcome)
        return job.return_value
    assert isinstance(job._return_value, Exception)
    return job._return_value
