"""What the sweepers here have in common: errors in one line, and an exit code that ends the process."""

from abc import abstractmethod

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Ending(Sweeper):
    """A sweeper whose work has an exit code."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def sweep(self, arguments: list[str]) -> int:
        """Does the work; ends the process with its exit code unless that is 0."""
        from reglab.cli import past_hydra

        assert self.config is not None
        assert self.hydra_context is not None
        with past_hydra():
            code = self.work(arguments, self.hydra_context, self.config)
        if code:
            raise SystemExit(code)
        return code

    @abstractmethod
    def work(self, arguments: list[str], context: HydraContext, config: DictConfig) -> int:
        """What the overrides of the command line ask for; its exit code."""
