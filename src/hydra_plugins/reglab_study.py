"""The Hydra sweeper `reglab_study`: hands a study's config to reglab.study.conduct.

Hydra imports every module of this package at each start, `--help` included: nothing heavy here.
"""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class ReglabStudyConf:
    """What is to be done stands in the config's `study` section."""

    _target_: str = "hydra_plugins.reglab_study.ReglabStudy"


ConfigStore.instance().store(group="hydra/sweeper", name="reglab_study", node=ReglabStudyConf, provider="reglab")


class ReglabStudy(Sweeper):
    """One parent run and its children, placed by whatever launcher Hydra was given; see `reglab.study.conduct`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def sweep(self, arguments: list[str]) -> int:
        """Does what is missing of the study; ends the process with its exit code unless that is 0."""
        from reglab.cli import past_hydra

        assert self.config is not None
        assert self.hydra_context is not None
        with past_hydra():
            from reglab.config.compose import Composer
            from reglab.study.conduct import conduct
            from reglab.study.definition import check_options
            from reglab.study.launch import Launch

            own = str(self.config.hydra.job.config_name)
            cfg = Composer(own, loader=self.hydra_context.config_loader).compose(arguments)
            check_options(cfg)
            basic = str(self.config.hydra.launcher._target_).endswith(".BasicLauncher")
            workers = -1 if cfg.workers is None and basic else cfg.workers  # as many as there are cores
            launch = Launch(self.hydra_context, self.config, config_name="train", workers=workers)
            code = conduct(cfg, arguments, launch)
        if code:
            raise SystemExit(code)
        return code
