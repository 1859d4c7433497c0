"""Where the runs of a sweep are placed: in this process, or by a Hydra launcher."""

import copy
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from reglab.execution import workers
from reglab.execution.attempt import Outcome, Place
from reglab.execution.returned import returning_little
from reglab.schema.errors import ConfigError, Setting


class Launch:
    """Hydra's launcher of a multirun.

    Args:
        context: as Hydra hands it to a sweeper.
        config: the multirun's, with its `hydra` section.
        config_name: what the runs compose; default: the multirun's own.
        workers: processes that train at once on this machine; None: what the launcher says.

    Raises:
        ConfigError: no workers, or a launcher that does not run here.
    """

    def __init__(
        self, context: HydraContext, config: DictConfig, *, config_name: str | None = None, workers: int | None = None
    ) -> None:
        self.loader = context.config_loader
        self._context = returning_little(context)
        self._config = copy.deepcopy(config)
        if config_name is not None:
            OmegaConf.update(self._config, "hydra.job.config_name", config_name)
        self.config_name = str(self._config.hydra.job.config_name)
        self._least = 1
        if workers is not None:
            self._local(workers)
        if self._named("JoblibLauncher") and self._config.hydra.launcher.n_jobs == 0:
            raise ConfigError(
                Setting("hydra.launcher.n_jobs", 0), "must be a number of workers, or -1 (as many as there are cores)"
            )

    def _local(self, workers: int) -> None:
        if not self._named("BasicLauncher") and not self._named("JoblibLauncher"):
            name = OmegaConf.select(self._config, "hydra.runtime.choices.hydra/launcher") or "this launcher"
            raise ConfigError(
                Setting("workers", workers), f"is for this machine, and {name} places runs itself", "leave it out"
            )
        self._joblib(workers)

    def _joblib(self, workers: int) -> None:
        from hydra_plugins.hydra_joblib_launcher.config import JobLibLauncherConf

        self._config.hydra.launcher = OmegaConf.structured(JobLibLauncherConf(n_jobs=workers))

    def keep_apart(self) -> None:
        """From now on train no run in this process: a run that ends its process must not end the sweep with it."""
        self._least = 2  # with one worker joblib runs its jobs in the process that calls it

    def apart(self) -> "Launch":
        """Return a launch of the same configs in worker processes; see `keep_apart`."""
        other = copy.copy(self)
        other._config = copy.deepcopy(self._config)
        if self._named("BasicLauncher"):
            other._joblib(1)
        other.keep_apart()
        return other

    @property
    def workers(self) -> int:
        """Processes at once, as far as it is known here."""
        if self._named("JoblibLauncher"):
            return self._joblib_workers(sys.maxsize)
        return 1

    def in_process(self, jobs: int) -> bool:
        """Return whether runs are trained in this process: with the basic launcher, or with a single worker."""
        if self._named("BasicLauncher"):
            return True
        return self._named("JoblibLauncher") and self._joblib_workers(jobs) == 1

    def __call__(self, place: Place, overrides: Sequence[Sequence[str]]) -> list[Outcome | Exception]:
        """Run `place` on the config of each job, composed where it runs.

        Returns:
            in the order of the jobs; an exception where not even an outcome came back.
        """
        return [_result(job) for job in self.returned(place, overrides)]

    def returned(self, place: Place, overrides: Sequence[Sequence[str]]) -> Sequence[JobReturn]:
        """The same, as Hydra's launcher has it."""
        launcher = Plugins.instance().instantiate_launcher(self._context, place, self._config)
        deaf: AbstractContextManager[None] = nullcontext()
        if self._named("JoblibLauncher"):
            self._prepare(launcher, len(overrides))
            deaf = workers.block_sigint_in_children()
        with deaf:
            return launcher.launch([list(job) for job in overrides], initial_job_idx=0)

    def _prepare(self, launcher: Launcher, jobs: int) -> None:
        """No more workers than there are jobs, or physical cores for their threads; none outlives this process."""
        from multiprocessing import resource_tracker as pythons

        from joblib.externals.loky.backend import resource_tracker as lokys

        for tracker in (pythons, lokys):
            tracker.ensure_running()  # starting one unblocks SIGINT, so start it before `block_sigint_in_children`
        settings: dict[str, Any] = launcher.joblib  # type: ignore[attr-defined]  # what it hands to joblib.Parallel
        settings["n_jobs"] = self._joblib_workers(jobs)
        settings["batch_size"] = 1  # else quick runs come back several at once: see reglab.execution.returned
        settings["initializer"] = workers.follow
        settings["initargs"] = (os.getpid(),)

    def _joblib_workers(self, jobs: int) -> int:
        from joblib import cpu_count, effective_n_jobs

        wanted = self._config.hydra.launcher.n_jobs
        threads = OmegaConf.select(self._config, "trainer.threads") or 1
        workers = cpu_count(only_physical_cores=True) // threads if wanted == -1 else effective_n_jobs(wanted)
        return max(self._least, min(workers, jobs))

    def _named(self, name: str) -> bool:
        return str(self._config.hydra.launcher._target_).endswith(f".{name}")


def _result(job: JobReturn) -> Outcome | Exception:
    if job.status == JobStatus.COMPLETED:
        assert isinstance(job.return_value, Outcome)
        return job.return_value
    assert isinstance(job._return_value, Exception)
    return job._return_value
