"""Launch the runs of a sweep in this process, or in worker processes of a Hydra launcher."""

import copy
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from reglab.compat.hydra import with_last_callback
from reglab.execution import workers
from reglab.execution.attempt import Outcome, WorkerTask
from reglab.schema.errors import ConfigError, Setting


class Launch:
    """Hydra's launcher of a multirun.

    Args:
        context: Hydra's context, as passed to a sweeper.
        config: config of the multirun, with its `hydra` section.
        config_name: config name of the runs; default: that of the multirun.
        workers: number of processes on this machine; None: as the launcher is configured.

    Raises:
        ConfigError: no workers, or `workers` for a launcher that does not run on this machine.
    """

    def __init__(
        self, context: HydraContext, config: DictConfig, *, config_name: str | None = None, workers: int | None = None
    ) -> None:
        self.loader = context.config_loader
        self._context = with_last_callback(context, KeepOutcomeOnly())
        self._config = copy.deepcopy(config)
        if config_name is not None:
            OmegaConf.update(self._config, "hydra.job.config_name", config_name)
        self.config_name = str(self._config.hydra.job.config_name)
        self._min_workers = 1
        if workers is not None:
            if not self._is("BasicLauncher") and not self._is("JoblibLauncher"):
                name = OmegaConf.select(self._config, "hydra.runtime.choices.hydra/launcher") or "this launcher"
                problem = f"applies to this machine only, and {name} schedules runs itself"
                raise ConfigError(Setting("workers", workers), problem, "remove it")
            self._use_joblib(workers)
        if self._is("JoblibLauncher") and self._config.hydra.launcher.n_jobs == 0:
            problem = "must be a number of workers, or -1 (as many as there are cores)"
            raise ConfigError(Setting("hydra.launcher.n_jobs", 0), problem)

    def require_worker_processes(self) -> None:
        """Train no further run in this process, so that a run that ends its process does not end the sweep."""
        self._min_workers = 2  # joblib runs the jobs of a single worker in the process that calls it

    def in_worker_processes(self) -> "Launch":
        """Return a launch of the same configs that trains no run in this process."""
        launch = copy.copy(self)
        launch._config = copy.deepcopy(self._config)
        if self._is("BasicLauncher"):
            launch._use_joblib(1)
        launch.require_worker_processes()
        return launch

    @property
    def workers(self) -> int:
        """Number of processes; 1 if only the launcher knows it."""
        return self._joblib_workers(sys.maxsize) if self._is("JoblibLauncher") else 1

    def is_in_process(self, jobs: int) -> bool:
        """Return whether this many runs are trained in this process: by the basic launcher, or a single worker."""
        if self._is("BasicLauncher"):
            return True
        return self._is("JoblibLauncher") and self._joblib_workers(jobs) == 1

    def __call__(self, task: WorkerTask, overrides: Sequence[Sequence[str]]) -> list[Outcome | Exception]:
        """Run a task on the config of each job, composed where it runs.

        Returns:
            in the order of the jobs: the outcome, or the exception of a job without one.
        """
        return [_result(job) for job in self.launch(task, overrides)]

    def launch(self, task: WorkerTask, overrides: Sequence[Sequence[str]]) -> Sequence[JobReturn]:
        """Run the task, and return Hydra's `JobReturn` objects."""
        launcher = Plugins.instance().instantiate_launcher(self._context, task, self._config)
        if not self._is("JoblibLauncher"):
            return launcher.launch([list(job) for job in overrides], initial_job_idx=0)
        # Imported here because a sweep in this process does without joblib.
        from reglab.compat.joblib import set_parallel_arguments

        with _sigint_only_here():
            set_parallel_arguments(
                launcher,
                n_jobs=self._joblib_workers(len(overrides)),
                batch_size=1,  # results of quick runs would come back several at once: see `KeepOutcomeOnly`
                initializer=workers.WorkerSetup(os.getpid(), self._prepared_environment(len(overrides))),
            )
            return launcher.launch([list(job) for job in overrides], initial_job_idx=0)

    def prepare_workers(self, jobs: int) -> None:
        """Start what workers for this many runs need, so that it imports libraries while this process does."""
        if self._is("JoblibLauncher"):
            with _sigint_only_here():
                self._prepared_environment(jobs)

    def _prepared_environment(self, jobs: int) -> dict[str, str]:
        """Start the server that forks workers, if there will be several, and return the environment of the workers."""
        from reglab.compat.joblib import fork_workers_from_server

        count = self._joblib_workers(jobs)
        if count == 1 or not workers.can_fork():
            return dict(os.environ)
        return fork_workers_from_server("reglab.execution.worker_imports", count)

    def _use_joblib(self, workers: int) -> None:
        from reglab.compat.joblib import launcher_config

        self._config.hydra.launcher = launcher_config(workers)

    def _joblib_workers(self, jobs: int) -> int:
        """Return the number of workers: not more than jobs or, if all cores are to be used, than cores allow."""
        from joblib import cpu_count, effective_n_jobs

        wanted = self._config.hydra.launcher.n_jobs
        threads = OmegaConf.select(self._config, "trainer.threads") or 1
        workers = cpu_count(only_physical_cores=True) // threads if wanted == -1 else effective_n_jobs(wanted)
        return max(self._min_workers, min(workers, jobs))

    def _is(self, launcher: str) -> bool:
        return str(self._config.hydra.launcher._target_).endswith(f".{launcher}")


@contextmanager
def _sigint_only_here() -> Iterator[None]:
    """Start processes in the block that do not receive SIGINT."""
    from reglab.compat.joblib import start_resource_trackers

    start_resource_trackers()  # which unblocks SIGINT, so before `block_sigint_in_children`
    with workers.block_sigint_in_children():
        yield


class KeepOutcomeOnly(Callback):
    """Keep only the status and the return value of each of Hydra's job results, not its configs.

    A result goes through a pipe to the process that launched. Up to `select.PIPE_BUF` bytes (4,096 on Linux) are
    written at once. If a worker is killed while it writes more, joblib's pool waits for the rest forever.
    """

    def on_job_end(self, config: Any, job_return: JobReturn, **kwargs: Any) -> None:
        """Remove the configs; called in the worker."""
        job_return.cfg = job_return.hydra_cfg = job_return.overrides = None


def _result(job: JobReturn) -> Outcome | Exception:
    try:
        with redirect_stderr(io.StringIO()):  # Hydra writes a line that does not name the run
            outcome = job.return_value
    except Exception as error:
        return error
    assert isinstance(outcome, Outcome)
    return outcome
