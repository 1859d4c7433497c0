"""The common base of the sweepers: errors in one line, and an exit code for the process."""

from abc import abstractmethod

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ExitCodeSweeper(Sweeper):
    """A sweeper that ends the process with an exit code."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def sweep(self, arguments: list[str]) -> int:
        """Do the work of `run`.

        Raises:
            SystemExit: with the exit code, unless it is 0.
        """
        from reglab.cli import bypass_hydra

        assert self.config is not None
        assert self.hydra_context is not None
        with bypass_hydra():
            code = self.run(arguments, self.hydra_context, self.config)
        if code:
            raise SystemExit(code)
        return code

    @abstractmethod
    def run(self, arguments: list[str], context: HydraContext, config: DictConfig) -> int:
        """Run what the overrides of the command line describe, and return the exit code."""
